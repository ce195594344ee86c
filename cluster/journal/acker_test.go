package journal_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/cluster/journal"
)

// A consumer that knows nothing of what is acknowledged does not answer: whoever ends with it must not wait for that.
func TestAckerEndsWithoutAnswer(t *testing.T) {
	t.Parallel()
	nc, err := nats.Connect(startNATS(t).url())
	must(t, err)
	t.Cleanup(nc.Close)
	heard := make(chan *nats.Msg, 1)
	_, err = nc.ChanSubscribe("silent", heard)
	must(t, err)
	a := journal.NewAcker(nc, time.Hour)
	must(t, a.Say("silent"))
	receive(t, heard)
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	receive(t, closed)
}
