package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// parseAck reads JetStream's answer to a published message: {"stream":"EV","seq":7}, perhaps with
// "duplicate", or with an "error" object.
func parseAck(data []byte) (Appended, error) {
	if a, ok := parsePlainAck(data); ok {
		return a, nil
	}
	var answer struct {
		Error     *jetstream.APIError `json:"error"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return Appended{}, fmt.Errorf("the answer %.80q is not an acknowledgement: %w", data, err)
	}
	if answer.Error != nil {
		return Appended{}, answer.Error
	}
	if answer.Seq == 0 {
		return Appended{}, errors.New("the acknowledgement has no sequence")
	}
	return Appended{Seq: answer.Seq, Duplicate: answer.Duplicate}, nil
}

var (
	ackHead = []byte(`{"stream":"`)
	ackSeq  = []byte(`","seq":`)
)

// parsePlainAck reads the form that every stored message is answered with, in a tenth of the time.
func parsePlainAck(data []byte) (Appended, bool) {
	rest, ok := bytes.CutPrefix(data, ackHead)
	if !ok {
		return Appended{}, false
	}
	name, rest, ok := bytes.Cut(rest, ackSeq)
	if !ok || bytes.ContainsAny(name, `"\`) || len(rest) < 2 || len(rest) > 20 || rest[0] == '0' || rest[len(rest)-1] != '}' {
		return Appended{}, false
	}
	var seq uint64
	for _, c := range rest[:len(rest)-1] {
		if c < '0' || c > '9' {
			return Appended{}, false
		}
		seq = seq*10 + uint64(c-'0')
	}
	return Appended{Seq: seq}, true
}
