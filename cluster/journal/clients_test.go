package journal_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// hashOfClient is what is remembered of the profile that the vendor has.
func hashOfClient(t *testing.T, j *journal.Journal, integration, id string) string {
	t.Helper()
	c, err := j.Client(t.Context(), integration, id)
	must(t, err)
	if c.ID != id {
		t.Errorf("asked for %s, got %+v", id, c)
	}
	return c.Hash
}

func TestClients(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		if got := hashOfClient(t, j, "crm", "c.1"); got != "" {
			t.Errorf("one that is not known has %s", got)
		}
		var all sync.WaitGroup
		for range 8 { // on top of each other
			all.Go(func() {
				if err := j.ChangeClient(t.Context(), "crm", "c.1", func(c *journal.Client) { c.Hash += "x" }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		must(t, j.ChangeClient(t.Context(), "crm", "c", func(c *journal.Client) { c.Hash = "1" }))
		must(t, j.ChangeClient(t.Context(), "other", "c.1", func(c *journal.Client) { c.Hash = "y" }))
		if got := hashOfClient(t, j, "crm", "c.1") + hashOfClient(t, j, "other", "c.1"); got != "xxxxxxxxy" {
			t.Errorf("they have %s", got)
		}
		for _, id := range []string{"", "c 1", "c:1", "*", "=", ">"} {
			if _, err := j.Client(t.Context(), "crm", id); err == nil {
				t.Errorf("the client %q is read", id)
			}
			if err := j.ChangeClient(t.Context(), "crm", id, func(*journal.Client) {}); err == nil {
				t.Errorf("the client %q is written", id)
			}
		}
		if _, err := j.Client(t.Context(), "*", "c"); err == nil {
			t.Error("an integration * is read")
		}
	})
}

func TestSynced(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		part := journal.Synced{ID: "c.1", Hash: "h", Outcome: event.ProfilePending, At: time.Now().UTC()}
		must(t, j.AddSynced(t.Context(), "crm", "s", part))
		part.Outcome = event.ProfileCreated
		must(t, j.PutSynced(t.Context(), "crm", "s", part))
		part.Outcome = event.ProfilePending
		must(t, j.AddSynced(t.Context(), "crm", "s", part)) // there is one already
		if got, err := j.SyncedClient(t.Context(), "crm", "s", "c.1"); got.Outcome != event.ProfileCreated || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		for i := range 1200 { // more than the log is asked for at once
			must(t, j.AddSynced(t.Context(), "crm", "s2", journal.Synced{ID: fmt.Sprint(i)}))
		}
		must(t, j.AddSynced(t.Context(), "other", "s", part))
		for id, want := range map[string]int{"s": 1, "s2": 1200, "s3": 0} {
			if got, err := j.Synced(t.Context(), "crm", id); len(got) != want || err != nil {
				t.Errorf("%s has %d parts, %v; want %d", id, len(got), err, want)
			}
		}
		if _, err := j.SyncedClient(t.Context(), "crm", "s", "c"); !isNotFound(err) {
			t.Errorf("a client that is not in it: %v", err)
		}
		for _, ids := range [][3]string{{"*", "s", "c"}, {"crm", ">", "c"}, {"crm", "s", "a b"}} {
			_, err := j.SyncedClient(t.Context(), ids[0], ids[1], ids[2])
			put := j.PutSynced(t.Context(), ids[0], ids[1], journal.Synced{ID: ids[2]})
			if forget := j.ForgetClient(t.Context(), ids[0], ids[1], ids[2]); err == nil || put == nil || forget == nil {
				t.Errorf("%q: %v, %v, %v", ids, err, put, forget)
			}
		}
		if _, err := j.Synced(t.Context(), "crm", "*"); err == nil {
			t.Error("all syncs are read as one")
		}
	})
}

func TestForgetAndEraseClients(t *testing.T) {
	t.Parallel()
	j := open(t)
	at := time.Now().UTC()
	for _, integration := range []string{"crm", "other"} {
		for _, id := range []string{"c.1", "c2"} {
			must(t, j.ChangeClient(t.Context(), integration, id, func(c *journal.Client) { c.Hash, c.At = "h", at }))
			must(t, j.AddSynced(t.Context(), integration, "s", journal.Synced{ID: id, At: at}))
		}
	}
	c1 := journal.Selection{
		Event: func(*event.Event) bool { return false }, Delivery: func(*event.Delivery) bool { return false },
		Client: func(id string, when time.Time) bool { return id == "c.1" && when.Equal(at) },
	}
	for _, only := range []bool{true, false} {
		if got, err := j.Erase(t.Context(), c1, only); got != (journal.Erased{Clients: 4}) || got.Sum() != 4 || err != nil {
			t.Errorf("Erase(only %v): %+v, %v", only, got, err)
		}
	}
	for range 2 { // what is gone is no error
		must(t, j.ForgetClient(t.Context(), "crm", "s", "c2"))
	}
	for at, want := range map[[2]string]string{{"crm", "c.1"}: "", {"other", "c.1"}: "", {"crm", "c2"}: "", {"other", "c2"}: "h"} {
		if got := hashOfClient(t, j, at[0], at[1]); got != want {
			t.Errorf("%v has %q, want %q", at, got, want)
		}
	}
	for integration, want := range map[string]int{"crm": 0, "other": 1} {
		if got, err := j.Synced(t.Context(), integration, "s"); len(got) != want || err != nil {
			t.Errorf("%s has %+v, %v", integration, got, err)
		}
	}
	// It can come back.
	must(t, j.ChangeClient(t.Context(), "crm", "c.1", func(c *journal.Client) { c.Hash = "new" }))
	must(t, j.AddSynced(t.Context(), "crm", "s", journal.Synced{ID: "c.1"}))
	if got := hashOfClient(t, j, "crm", "c.1"); got != "new" {
		t.Errorf("it has %q", got)
	}
}

// What cannot be read is passed over, and written anew.
func TestUnreadableClients(t *testing.T) {
	t.Parallel()
	j := open(t)
	for name, keys := range map[string][]string{"clients": {"crm.c"}, "syncs": {"crm.s.c", "crm.s.d"}} {
		for i, key := range keys {
			_, err := bucket(t, j, name).Put(t.Context(), key, []byte([]string{`{`, `{}`}[i]))
			must(t, err)
		}
	}
	if got, err := j.Synced(t.Context(), "crm", "s"); len(got) != 0 || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := j.SyncedClient(t.Context(), "crm", "s", "c"); err == nil || errors.Is(err, journal.ErrNotFound) {
		t.Errorf("one part: %v", err)
	}
	must(t, j.ChangeClient(t.Context(), "crm", "c", func(c *journal.Client) { c.Hash = "h" }))
	if got := hashOfClient(t, j, "crm", "c"); got != "h" {
		t.Errorf("it has %q", got)
	}
}
