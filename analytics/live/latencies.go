package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The shape of the histograms: microseconds up to an hour, in bins of a thirty-second to a sixteenth of the value.
const (
	maxLatency = time.Hour
	halfBits   = 4                               // HdrHistogram's sub-bucket half count for one digit is 1<<halfBits
	numBins    = (32 - halfBits + 1) << halfBits // an hour has 32 bits
	maxCount   = uint64(1) << 40                 // of one bin; beyond it, it was not counted here
)

// binOf returns the bin of a latency.
func binOf(d time.Duration) int {
	v := uint64(min(max(d, 0), maxLatency) / time.Microsecond) // #nosec G115 -- within 0 and maxLatency
	octave := max(bits.Len64(v)-halfBits-1, 0)
	return octave<<halfBits + int(v>>octave) // #nosec G115 -- below numBins
}

// floorOf returns the least value of a bin.
func floorOf(bin int) int64 {
	octave := max(bin>>halfBits-1, 0)
	return int64(bin-octave<<halfBits) << octave
}

// Latencies are the bins of a histogram that hold something, ascending: for each how far it lies from the one
// before, and its count, as uvarints.
type Latencies []byte

// histogram counts in all bins.
type histogram [numBins]uint64

var errLatencies = errors.New("latencies cannot be read")

// add counts what l holds; nothing of it, where that cannot be read.
func (h *histogram) add(l Latencies) error {
	sum := *h
	for bin := -1; len(l) > 0; {
		step, n := binary.Uvarint(l)
		if n <= 0 || step == 0 || step >= uint64(numBins-bin) { // #nosec G115 -- bin is below numBins
			return fmt.Errorf("%w: no bin lies %d after the %dth", errLatencies, step, bin)
		}
		bin += int(step) // #nosec G115 -- below numBins
		l = l[n:]
		count, n := binary.Uvarint(l)
		if n <= 0 || count > maxCount {
			return fmt.Errorf("%w: the %dth bin counts %d", errLatencies, bin, count)
		}
		sum[bin] += count
		l = l[n:]
	}
	*h = sum
	return nil
}

// pack returns the bins that hold something.
func (h *histogram) pack() Latencies {
	var l Latencies
	last := -1
	for bin, count := range h {
		if count > 0 {
			l = appendBin(l, bin-last, count)
			last = bin
		}
	}
	return l
}

func appendBin(l []byte, step int, count uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(l, uint64(step)), count) // #nosec G115 -- above zero
}

// quantiles returns the values below which these parts of all lie.
func (h *histogram) quantiles(percents ...float64) []time.Duration {
	hdr := hdrhistogram.New(1, maxLatency.Microseconds(), 1)
	for bin, count := range h {
		if count > 0 {
			_ = hdr.RecordValues(floorOf(bin), int64(min(count, maxCount))) // #nosec G104 G115 -- within its range
		}
	}
	out := make([]time.Duration, len(percents))
	for i, p := range percents {
		out[i] = time.Duration(hdr.ValueAtPercentile(p)) * time.Microsecond
	}
	return out
}
