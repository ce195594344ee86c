package analytics_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// found is what a query should find, computed from the records and not from the tables.
func found[T any](all []T, at func(T) time.Time, wanted func(T) bool) []T {
	out := []T{}
	for _, x := range all {
		if wanted(x) {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b T) int { return at(b).Compare(at(a)) })
	return out
}

// pages follows the cursors of a query, a few records at a time.
func pages[T any](t *testing.T, ask func(analytics.Page) ([]T, analytics.Cursor, error), page analytics.Page) []T {
	t.Helper()
	all := []T{}
	for {
		part, next, err := ask(page)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) > page.Limit {
			t.Fatalf("%d records, asked for %d", len(part), page.Limit)
		}
		all = append(all, part...)
		if next == (analytics.Cursor{}) {
			return all
		}
		if len(part) < page.Limit {
			t.Fatalf("a page of %d of %d has a next one", len(part), page.Limit)
		}
		if page.After, err = analytics.ParseCursor(next.String()); err != nil || page.After != next {
			t.Fatalf("cursor %s is read as %s: %v", next, page.After, err)
		}
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	key := func(a, b T) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	if !slices.Equal(slices.SortedFunc(slices.Values(got), key), slices.SortedFunc(slices.Values(want), key)) {
		t.Errorf("%s: found %d, want %d:\n%v\n%v", what, len(got), len(want), got, want)
	}
}

func TestFindDeliveries(t *testing.T) {
	t.Parallel()
	store, records := recorded(t, 3, 400)
	var all []analytics.DeliveryRow
	for _, r := range records {
		if d := r.Delivery; d != nil && d.Result != nil {
			all = append(all, analytics.DeliveryRow{
				ID: d.ID, Replay: d.Replay, Outcome: d.Result.Outcome, Reason: d.Result.Reason, Attempts: d.Result.Attempts,
				EventID: d.EventID, EventType: d.EventType, Channel: d.Channel, Integration: d.Integration, Vendor: d.Vendor,
				Category: string(d.Category), WeddingID: d.WeddingID, AcceptedAt: d.AcceptedAt, RoutedAt: d.RoutedAt,
				FinishedAt: d.Result.FinishedAt.Truncate(time.Microsecond), Latency: event.Duration(d.Result.FinishedAt.Truncate(time.Microsecond).Sub(d.AcceptedAt)), Node: r.Node,
			})
		}
	}
	ended := func(d analytics.DeliveryRow) time.Time { return d.FinishedAt }
	since, until := time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	first := all[0]
	var reason string
	for _, d := range all {
		reason = cmp.Or(reason, d.Reason)
	}
	for name, c := range map[string]struct {
		q      analytics.DeliveryQuery
		wanted func(analytics.DeliveryRow) bool
	}{
		"all":         {analytics.DeliveryQuery{}, func(analytics.DeliveryRow) bool { return true }},
		"integration": {analytics.DeliveryQuery{Integration: first.Integration}, func(d analytics.DeliveryRow) bool { return d.Integration == first.Integration }},
		"channel":     {analytics.DeliveryQuery{Channel: first.Channel}, func(d analytics.DeliveryRow) bool { return d.Channel == first.Channel }},
		"event":       {analytics.DeliveryQuery{EventID: first.EventID}, func(d analytics.DeliveryRow) bool { return d.EventID == first.EventID }},
		"wedding":     {analytics.DeliveryQuery{WeddingID: first.WeddingID}, func(d analytics.DeliveryRow) bool { return d.WeddingID == first.WeddingID }},
		"type":        {analytics.DeliveryQuery{EventType: first.EventType}, func(d analytics.DeliveryRow) bool { return d.EventType == first.EventType }},
		"vendor":      {analytics.DeliveryQuery{Vendor: first.Vendor}, func(d analytics.DeliveryRow) bool { return d.Vendor == first.Vendor }},
		"category":    {analytics.DeliveryQuery{Category: first.Category}, func(d analytics.DeliveryRow) bool { return d.Category == first.Category }},
		"reason":      {analytics.DeliveryQuery{Reason: reason}, func(d analytics.DeliveryRow) bool { return d.Reason == reason }},
		"slow":        {analytics.DeliveryQuery{SlowerThan: 5 * time.Second}, func(d analytics.DeliveryRow) bool { return time.Duration(d.Latency) > 5*time.Second }},
		"id":          {analytics.DeliveryQuery{ID: first.ID}, func(d analytics.DeliveryRow) bool { return d.ID == first.ID }},
		"outcome":     {analytics.DeliveryQuery{Outcome: event.Dead}, func(d analytics.DeliveryRow) bool { return d.Outcome == event.Dead }},
		"time": {analytics.DeliveryQuery{Page: analytics.Page{Since: since, Until: until}}, func(d analytics.DeliveryRow) bool {
			return !d.FinishedAt.Before(since.Truncate(time.Microsecond)) && d.FinishedAt.Before(until.Truncate(time.Microsecond))
		}},
		"own":  {analytics.DeliveryQuery{Among: []string{"slack-1", "email-2"}}, func(d analytics.DeliveryRow) bool { return d.Integration == "slack-1" || d.Integration == "email-2" }},
		"none": {analytics.DeliveryQuery{Among: []string{}}, func(analytics.DeliveryRow) bool { return false }},
	} {
		c.q.Limit = 7
		got := pages(t, func(p analytics.Page) ([]analytics.DeliveryRow, analytics.Cursor, error) {
			c.q.Page = p
			return store.Deliveries(t.Context(), c.q)
		}, c.q.Page)
		want := found(all, ended, c.wanted)
		same(t, name, got, want)
		if !slices.IsSortedFunc(got, func(a, b analytics.DeliveryRow) int { return b.FinishedAt.Compare(a.FinishedAt) }) {
			t.Errorf("%s: not the latest first", name)
		}
		if name != "none" && len(want) == 0 {
			t.Errorf("%s selects nothing: the test shows nothing", name)
		}
	}
	if got, _, err := store.Deliveries(t.Context(), analytics.DeliveryQuery{}); err != nil || len(got) != 100 {
		t.Errorf("without a limit: %d, %v", len(got), err)
	}
}

func TestFindAudit(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	base := time.Now().UTC().Truncate(time.Second)
	odd := `o'dd\ "name"` + "\t\n\x00{x}"
	alice := map[string]string{"supplierId": "42"}
	all := []event.Audit{
		{Actor: "admin:admin", Action: "integration.put", Target: "crm", Outcome: "ok", From: "::1", Owner: alice},
		{Actor: "key:alice/1", Action: "integration.delete", Target: "crm", Outcome: "conflict", Owner: map[string]string{"supplierId": "42", odd: odd}},
		{Actor: "key:alice/2", Action: "mapping.put", Target: "m1", Outcome: "ok", Owner: map[string]string{"venueId": "42"}},
		{Actor: "key:alicex/2", Action: "integrations.x", Target: "crm", Outcome: "ok"},
		{Actor: "webhook:crm", Action: "webhook.receive", Target: "crm", Outcome: "ok"},
		{Actor: "anonymous", Action: "webhook.receive", Target: "crm2", Outcome: "signature_invalid"},
		{Actor: "admin:admin", Action: "key.revoke", Target: "crm", Outcome: "ok", Detail: "a key of that id", Owner: map[string]string{"supplierId": "43"}},
		{Actor: odd, Action: odd, Target: odd, Outcome: odd, Detail: odd},
	}
	for i := range all {
		all[i].At = base.Add(time.Duration(i/2) * time.Second) // two at the same time each
		log.append(&event.Record{V: event.Version, Node: "n", Audit: &all[i]})
	}
	r := run(t, store, log, analytics.RecorderConfig{BatchWait: time.Millisecond})
	r.reaches(t, uint64(len(all)), time.Minute)
	r.stop()
	for name, c := range map[string]struct {
		q    analytics.AuditQuery
		want string // their places
	}{
		"all":       {analytics.AuditQuery{}, "76543210"},
		"actor":     {analytics.AuditQuery{Actor: "key:alice/1"}, "1"},
		"name":      {analytics.AuditQuery{Actor: "key:alice"}, "21"},
		"action":    {analytics.AuditQuery{Action: "webhook.receive"}, "54"},
		"kind":      {analytics.AuditQuery{Action: "integration"}, "10"},
		"target":    {analytics.AuditQuery{Target: "crm", Outcome: "ok"}, "6430"},
		"odd":       {analytics.AuditQuery{Actor: odd, Action: odd, Target: odd, Outcome: odd}, "7"},
		"time":      {analytics.AuditQuery{Page: analytics.Page{Since: base.Add(time.Second), Until: base.Add(2 * time.Second)}}, "32"},
		"an owner":  {analytics.AuditQuery{Owner: alice}, "10"},
		"odd owner": {analytics.AuditQuery{Owner: map[string]string{odd: odd, "supplierId": "42"}}, "1"},
		"both":      {analytics.AuditQuery{Action: "integration.put", Owner: alice}, "0"},
		"nobody":    {analytics.AuditQuery{Owner: map[string]string{"": "nobody"}}, ""},
		"no value":  {analytics.AuditQuery{Owner: map[string]string{"supplierId": "4"}}, ""},
	} {
		for _, limit := range []int{1, 3, 100} {
			c.q.Limit = limit
			got := pages(t, func(p analytics.Page) ([]analytics.AuditRow, analytics.Cursor, error) {
				c.q.Page = p
				return store.Audit(t.Context(), c.q)
			}, c.q.Page)
			var places strings.Builder
			for _, g := range got {
				i := slices.IndexFunc(all, func(a event.Audit) bool {
					return g == analytics.AuditRow{At: a.At, Actor: a.Actor, Action: a.Action, Target: a.Target, Outcome: a.Outcome, Detail: a.Detail, From: a.From, Node: "n"}
				})
				fmt.Fprint(&places, i)
			}
			if places.String() != c.want {
				t.Errorf("%s by %d: found %s, want %s", name, limit, places.String(), c.want)
			}
			c.q.After = analytics.Cursor{}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := store.Audit(ended, analytics.AuditQuery{}); err == nil || !strings.Contains(err.Error(), "audit records") {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzCursor: what is read as a cursor is written the same.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "1.2.3.e", "1.2.3.", "0.0.0.", "-1.2.3.e", "01.2.3.e", "1.65536.3.e", "1.2.3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := analytics.ParseCursor(text)
		if err == nil && c.String() != text {
			t.Fatalf("%q is read as %q", text, c)
		}
		if err != nil && (c != analytics.Cursor{} || len(err.Error()) > 500) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
