package journal_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// A consumer that knows nothing of what is acknowledged does not answer: whoever ends with it must not wait for that.
func TestAckerEndsWithoutAnswer(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	asked := silent(t, connect(t, n), "quiet")
	a := journal.NewAcker(connect(t, n), time.Hour)
	must(t, a.Say("quiet"))
	receive(t, asked)
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	receive(t, closed)
}
