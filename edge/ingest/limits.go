package ingest

import (
	"fmt"

	"github.com/wedsync/wedsync/actors/event"
)

// Limits bound a payload. A zero field takes the default.
type Limits struct {
	Bytes       int // of the whole payload; default and maximum event.MaxPayloadBytes
	Depth       int // of objects and arrays in each other; default 16
	Keys        int // over all objects; default 1000
	Elements    int // over all arrays; default 10,000
	KeyBytes    int // of one key; default 256
	StringBytes int // of one string; default 64 KiB
}

// WithDefaults returns the limits with zero fields filled in.
func (l Limits) WithDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Bytes, event.MaxPayloadBytes)
	def(&l.Depth, 16)
	def(&l.Keys, 1000)
	def(&l.Elements, 10_000)
	def(&l.KeyBytes, 256)
	def(&l.StringBytes, 64<<10)
	return l
}

// roomAround is what a body may have beside the payload that it holds, in bytes.
const roomAround = 4 << 10

// Around returns the limits, with zero fields filled in, of a body that holds one payload.
func (l Limits) Around() Limits {
	l = l.WithDefaults()
	l.Bytes += roomAround
	l.Depth++
	l.Keys += 16
	return l
}

// Validate returns an error that names the first limit that cannot be.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name   string
		v, max int
	}{
		{"Bytes", l.Bytes, event.MaxPayloadBytes},
		{"Depth", l.Depth, 128},
		{"Keys", l.Keys, event.MaxPayloadBytes},
		{"Elements", l.Elements, event.MaxPayloadBytes},
		{"KeyBytes", l.KeyBytes, event.MaxPayloadBytes},
		{"StringBytes", l.StringBytes, event.MaxPayloadBytes},
	} {
		if f.v < 1 || f.v > f.max {
			return fmt.Errorf("ingest: Limits.%s is %d; it must be from 1 to %d", f.name, f.v, f.max)
		}
	}
	return nil
}
