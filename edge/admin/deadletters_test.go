package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// mapTo maps all channels under c to an integration.
func (n *node) mapTo(t *testing.T, id string) {
	t.Helper()
	_, err := n.registry.PutMapping(t.Context(), event.Mapping{V: event.Version, ID: "m-" + id, Pattern: "c:*", Targets: []event.Target{{Integration: id}}})
	must(t, err)
}

// happen publishes an event with the payload.
func (n *node) happen(t *testing.T, channel, payload string) {
	t.Helper()
	in, err := ingest.New(ingest.Config{Log: n.journal})
	must(t, err)
	_, err = in.Publish(t.Context(), ingest.Draft{Channel: channel, Type: "timeline.updated", Payload: json.RawMessage(payload), Source: "test"})
	must(t, err)
}

// dead waits until there are so many dead letters, and returns them.
func (n *node) dead(t *testing.T, count int) (all []journal.Buried) {
	t.Helper()
	eventually(t, strconv.Itoa(count)+" dead letters", func() bool {
		var err error
		all, err = n.journal.DeadLetters(t.Context(), journal.DeadQuery{})
		must(t, err)
		return len(all) == count
	})
	return all
}

// refusing is a node whose integration a died of so many events.
func refusing(t *testing.T, count int) (*node, []journal.Buried) {
	t.Helper()
	n := start(t)
	n.connect(t, "a", nil)
	n.mapTo(t, "a")
	n.sim.Faults().Add(vendors.Fault{Status: http.StatusUnprocessableEntity})
	for i := range count {
		n.happen(t, fmt.Sprint("c:", i+1), fmt.Sprintf(`{"coupleId":"c%d","note":"<i>first</i>"}`, i+1))
	}
	letters := n.dead(t, count)
	n.sim.Faults().Clear()
	return n, letters
}

func TestDeadLettersAreFoundAndShown(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 3)
	b := n.signedIn(t, adminKey)
	for query, want := range map[string]int{
		"": 3, "?integration=a": 3, "?integration=b": 0, "?vendor=webhook": 3, "?vendor=slack": 0, "?reason=http_422": 3, "?reason=park_limit": 0,
		"?type=timeline.updated": 3, "?type=x.y": 0, "?channel=c:2": 1, "?channel=+c:*+": 3, "?since=1h": 3, "?since=2099-01-01T00:00:00Z": 0,
		fmt.Sprintf("?after=%d", letters[0].Seq): 2,
	} {
		got := b.get("/admin/dead-letters" + query)
		if rows := strings.Count(got.body, `<tr id="letter-`); got.status != http.StatusOK || rows != want {
			t.Errorf("%s: %d with %d rows, want %d", query, got.status, rows, want)
		}
	}
	for query, want := range map[string]string{"?since=noon": "Since &#34;noon&#34; is neither", "?channel=a::b": "Channel: ", "?integration=a+b": "Integration: "} {
		if got := b.get("/admin/dead-letters" + query); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d without %s", query, got.status, want)
		}
	}
	_, secret := n.sim.Integration("a")
	n.sim.Faults().Add(vendors.Fault{Status: http.StatusUnprocessableEntity})
	n.happen(t, "c:9", `{"coupleId":"c9","note":"it is `+secret.Current("signing").Reveal()+`"}`)
	last := n.dead(t, 4)[3]
	page := b.get(fmt.Sprintf("/admin/dead-letters/%d", last.Seq)).body
	for _, want := range []string{"The vendor answered 422", "c:9", "[secret]", last.Letter.Delivery.ID, "What a replay would send", "they are sent now"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, secret.Current("signing").Reveal()) {
		t.Error("the page shows a secret")
	}
	for _, path := range []string{"999999", "x"} {
		if got := b.get("/admin/dead-letters/" + path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestOneDeadLetterIsReplayedOrDiscarded(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 2)
	b := n.signedIn(t, adminKey)
	at := func(i int, act string) string { return fmt.Sprintf("/admin/dead-letters/%d/%s", letters[i].Seq, act) }
	before := len(n.sim.Received())
	if got := b.post(at(0, "replay"), url.Values{}, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, letters[0].Letter.Delivery.ID) {
		t.Fatalf("replayed: %d %s", got.status, got.body)
	}
	eventually(t, "the vendor to get it", func() bool { return len(n.sim.Received()) > before })
	if got := b.post(at(1, "discard"), url.Values{}, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "discarded") {
		t.Errorf("discarded: %d %s", got.status, got.body)
	}
	n.dead(t, 0)
	for _, path := range []string{at(0, "replay"), at(1, "discard"), "/admin/dead-letters/x/replay", "/admin/dead-letters/x/discard"} {
		if got := b.post(path, url.Values{}, htmx()...); got.status != http.StatusNotFound {
			t.Errorf("%s again: %d", path, got.status)
		}
	}
	if got := n.audited(); !strings.Contains(got, "dead.replay ok, dead.discard ok, dead.replay dead_letter_unknown") {
		t.Errorf("audited: %s", got)
	}
}

func TestManyAreReplayedInSteps(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 30)
	b := n.signedIn(t, adminKey)
	post := func(act string, form url.Values, want ...string) string {
		t.Helper()
		got := b.post("/admin/dead-letters/"+act, form, htmx()...)
		for _, w := range want {
			if got.status != http.StatusOK || !strings.Contains(got.body, w) {
				t.Fatalf("%s %v: %d without %s: %s", act, form, got.status, w, got.body)
			}
		}
		return got.body
	}
	post("plan", url.Values{"all": {"1"}, "channel": {"c:nobody"}}, "No dead letter is meant")
	plan := post("plan", url.Values{"all": {"1"}, "reason": {"http_422"}, "since": {"1h"}}, "Replay 30 dead letters?", "they are sent now", `name="until"`, `name="reason" value="http_422"`)
	if strings.Contains(plan, `value="1h"`) {
		t.Error("what since means changes from step to step")
	}
	seqs := []string{strconv.FormatUint(letters[0].Seq, 10), strconv.FormatUint(letters[1].Seq, 10)}
	post("plan", url.Values{"seq": seqs}, "Replay 2 dead letters?", `name="seq" value="`+seqs[1])
	n.dead(t, 30)
	before := len(n.sim.Received())
	post("replay", url.Values{"seq": append([]string{"999999"}, seqs...), "total": {"3"}}, "2 of 3", "1 stays", "Dead letter 999999", "Done")
	step := post("replay", url.Values{"reason": {"http_422"}, "total": {"28"}}, "25 of 28 are on the way again", `hx-trigger="load"`, `name="replayed" value="25"`, "Stop")
	_, after, _ := strings.Cut(step, `name="after" value="`)
	after, _, _ = strings.Cut(after, `"`)
	post("replay", url.Values{"reason": {"http_422"}, "total": {"28"}, "replayed": {"25"}, "after": {after}}, "28 of 28", "Done")
	n.dead(t, 0)
	eventually(t, "the vendor to get all", func() bool { return len(n.sim.Received()) == before+30 })
	for _, form := range []url.Values{{}, {"seq": {"x"}}, {"seq": make([]string, 51)}} {
		for _, act := range []string{"plan", "discard"} {
			if got := b.post("/admin/dead-letters/"+act, form, htmx()...); got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s of %v: %d", act, form, got.status)
			}
		}
	}
	if got := b.post("/admin/dead-letters/plan", url.Values{"all": {"1"}, "since": {"noon"}}, htmx()...); got.status != http.StatusUnprocessableEntity {
		t.Errorf("since noon: %d", got.status)
	}
}

func TestChosenAreDiscarded(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 3)
	b := n.signedIn(t, adminKey)
	chosen := url.Values{"seq": {strconv.FormatUint(letters[0].Seq, 10), strconv.FormatUint(letters[2].Seq, 10), "999999"}}
	if got := b.post("/admin/dead-letters/discard", chosen, htmx()...); got.status != http.StatusOK || !strings.Contains(got.body, "3 dead letters are discarded") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if left := n.dead(t, 1); left[0].Seq != letters[1].Seq {
		t.Errorf("left is %d", left[0].Seq)
	}
}

// A replay says what the integration will do with what it gets.
func TestAPlanTellsOfTheIntegration(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 1)
	b := n.signedIn(t, adminKey)
	page := fmt.Sprintf("/admin/dead-letters/%d", letters[0].Seq)
	e, _ := n.registry.Lookup("a")
	in := e.Copy()
	in.Paused = &event.Pause{Reason: "moving", By: "x"}
	in, err := n.registry.Put(t.Context(), in)
	must(t, err)
	eventually(t, "the page to say that it is paused", func() bool { return strings.Contains(b.get(page).body, "wait until it is resumed") })
	in.Paused, in.Disabled = nil, true
	_, err = n.registry.Put(t.Context(), in)
	must(t, err)
	eventually(t, "the page to say that it is disabled", func() bool { return strings.Contains(b.get(page).body, "would be skipped") })
	must(t, n.registry.Delete(t.Context(), "a"))
	eventually(t, "the page to say that it is gone", func() bool { return strings.Contains(b.get(page).body, "cannot be replayed and stay") })
	if got := b.post(page+"/replay", url.Values{}, htmx()...); got.status != http.StatusConflict {
		t.Errorf("replaying what has no integration: %d %s", got.status, got.body)
	}
}

func TestDeadLettersNeedTheirScopes(t *testing.T) {
	t.Parallel()
	n, letters := refusing(t, 1)
	key := func(scopes ...access.Scope) string {
		_, text, err := n.keys.Create(t.Context(), access.Everybody("x"), access.Key{Name: "k", Scopes: scopes})
		must(t, err)
		return text.Reveal()
	}
	if got := n.signedIn(t, key(access.IntegrationsRead)).get("/admin/dead-letters"); got.status != http.StatusForbidden {
		t.Errorf("without dead-letters:read: %d", got.status)
	}
	b := n.signedIn(t, key(access.DeadRead))
	page := fmt.Sprintf("/admin/dead-letters/%d", letters[0].Seq)
	for _, path := range []string{"/admin/dead-letters", page} {
		if got := b.get(path); got.status != http.StatusOK || strings.Contains(got.body, "Replay") && path != page || strings.Contains(got.body, "Discard…") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := b.get(page); !strings.Contains(got.body, "lacks channels:read") {
		t.Error("it does not say why there is no preview")
	}
	for _, path := range []string{page + "/replay", page + "/discard", "/admin/dead-letters/replay", "/admin/dead-letters/discard"} {
		if got := b.post(path, url.Values{"seq": {"1"}}, htmx()...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
