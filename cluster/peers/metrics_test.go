package peers_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// counts reads how many requests had which outcome, by kind and outcome.
func (n near) counts() map[string]float64 {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			counts[strings.Join(labels, " ")] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}

// Each outcome of each kind of request is told before there is one.
func (n near) toldFromTheStart() {
	counts := n.counts()
	for _, kind := range []string{"echo", "hold"} {
		for _, outcome := range []string{"", " answered", " failed", " busy", " late", " unreachable"} {
			if v, ok := counts[kind+outcome]; !ok || v != 0 {
				n.t.Errorf("%s%s is told as %v, %t", kind, outcome, v, ok)
			}
		}
	}
}

// told checks what the metrics say of all that the test did.
func (n near) told() {
	counts := n.counts()
	for what, want := range map[string]float64{
		"fail failed": 2, "taken failed": 2, "unheard of failed": 2, "hold late": places, "hold unreachable": 1, "hold failed": 1,
		"hold": places + 2, "echo busy": 1, "echo unreachable": 2, "hold answered": 0,
	} {
		if counts[what] != want {
			n.t.Errorf("%s: %v, want %v", what, counts[what], want)
		}
	}
	if counts["echo answered"] < 6 {
		n.t.Errorf("of %v requests it is told that they were answered", counts["echo answered"])
	}
}

// One request after the other, and many at once, to a node on the same machine, with TLS.
func BenchmarkAsk(b *testing.B) {
	n := newNear(b)
	n.start("b")
	body := make([]byte, 256)
	echo := func(b *testing.B) {
		b.Helper()
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
		defer cancel()
		if _, err := n.Ask(ctx, "b", "echo", body); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			echo(b)
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(2) // times the processors; a place is free only after the answer
		b.RunParallel(func(next *testing.PB) {
			for next.Next() {
				echo(b)
			}
		})
	})
	if err := n.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
