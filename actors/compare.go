package actors

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/wI2L/jsondiff"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// Bounds on what a comparison shows; it counts all.
const (
	maxDifferences = 100
	maxPatchBytes  = 4 << 10
)

// Comparison is what a changed mapping would do otherwise than what is stored.
type Comparison struct {
	Events       int          `json:"events" doc:"So many events were looked at."`
	FirstSeq     uint64       `json:"firstSeq,omitempty" doc:"Of the oldest of them."`
	LastSeq      uint64       `json:"lastSeq,omitempty" doc:"Of the newest of them."`
	Unchanged    int          `json:"unchanged" doc:"Deliveries that stay as they are."`
	Integrations []Changes    `json:"integrations" nullable:"false" doc:"Those for which something changes."`
	Differences  []Difference `json:"differences" nullable:"false" doc:"The oldest first, at most 100 deliveries."`
	More         int          `json:"more,omitempty" doc:"So many differences are counted and not shown."`
}

// Changes counts what changes for one integration.
type Changes struct {
	Integration string `json:"integration"`
	More        int    `json:"more" doc:"Events that it would get, and does not."`
	Fewer       int    `json:"fewer" doc:"Events that it gets, and would not."`
	Other       int    `json:"other" doc:"Events that it would get with another body."`
	Dead        int    `json:"dead" doc:"Events that would become dead letters, and do not."`
}

// Difference is what changes of one event for one integration.
type Difference struct {
	Seq         uint64          `json:"seq"`
	EventID     string          `json:"eventId"`
	Channel     string          `json:"channel"`
	Type        string          `json:"type"`
	Integration string          `json:"integration"`
	Recipient   string          `json:"recipient,omitempty" doc:"Whom the mapping names."`
	Change      string          `json:"change" enum:"more,fewer,other,dead"`
	Before      Fate            `json:"before"`
	After       Fate            `json:"after"`
	Patch       json.RawMessage `json:"patch,omitempty" doc:"From the body before to the one after, as RFC 6902 says, with tests of what was there."`
	PatchBytes  int             `json:"patchBytes,omitempty" doc:"Size of a patch that is too large to be shown."`
}

// Fate is what becomes of an event for an integration.
type Fate struct {
	Mapping string `json:"mapping,omitempty" doc:"The mapping that chooses it."`
	Outcome string `json:"outcome" enum:"sent,skipped,dead,none"`
	Reason  string `json:"reason,omitempty"`
	Detail  string `json:"detail,omitempty"`

	body []byte
}

// The outcomes of a Fate.
const (
	fateSent    = "sent"
	fateSkipped = "skipped"
	fateDead    = "dead"
	fateNone    = "none"
)

// Compare runs events through the mappings as they are, and as they would be with m, and tells the
// differences. It calls nobody and stores nothing. It fails with a *registry.InvalidError where m could
// not be stored, and with ctx.
func (s *System) Compare(ctx context.Context, m event.Mapping, events []*event.Event) (Comparison, error) {
	trial, err := s.cfg.Registry.Try(m)
	if err != nil {
		return Comparison{}, err
	}
	c := Comparison{Events: len(events), Integrations: []Changes{}, Differences: []Difference{}}
	changes := map[string]*Changes{}
	for i, ev := range events {
		if err := ctx.Err(); err != nil {
			return Comparison{}, err
		}
		if i == 0 {
			c.FirstSeq = ev.Seq
		}
		c.LastSeq = ev.Seq
		before, after := s.fates(s.cfg.Registry.Resolve(ev), ev), s.fates(trial.Resolve(ev), ev)
		all := slices.Collect(maps.Keys(before))
		for to := range after {
			if _, known := before[to]; !known {
				all = append(all, to)
			}
		}
		slices.SortFunc(all, addressee.compare)
		for _, to := range all {
			c.add(changes, ev, to, before[to], after[to])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(changes)) {
		c.Integrations = append(c.Integrations, *changes[id])
	}
	return c, nil
}

// addressee is whom an event is delivered to.
type addressee struct{ integration, recipient string }

func (a addressee) compare(b addressee) int {
	return cmp.Or(strings.Compare(a.integration, b.integration), strings.Compare(a.recipient, b.recipient))
}

// fates says what becomes of an event for each integration and recipient that it goes to.
func (s *System) fates(matches []registry.Match, ev *event.Event) map[addressee]Fate {
	all := make(map[addressee]Fate, len(matches))
	for _, m := range matches {
		d, skipped, err := s.route(m, ev, s.cfg.Now().UTC())
		f := Fate{Mapping: m.Mapping, Outcome: fateSent, body: d.Body}
		switch {
		case err != nil:
			f.Outcome, f.Reason, f.Detail = fateDead, reasonOf(err), err.Error()
		case skipped != "":
			f.Outcome, f.Reason, f.Detail = fateSkipped, skipped, inWords(skipped)
		}
		all[addressee{m.Entry.Integration.ID, m.Recipient}] = f
	}
	return all
}

// add counts what becomes of one event for one addressee before and after, and keeps it if it changes.
func (c *Comparison) add(changes map[string]*Changes, ev *event.Event, to addressee, before, after Fate) {
	before.Outcome, after.Outcome = cmp.Or(before.Outcome, fateNone), cmp.Or(after.Outcome, fateNone)
	d := Difference{Seq: ev.Seq, EventID: ev.ID, Channel: ev.Channel, Type: ev.Type, Integration: to.integration, Recipient: to.recipient, Before: before, After: after}
	change := &Changes{Integration: to.integration}
	if known := changes[to.integration]; known != nil {
		change = known
	}
	sent, sends := before.Outcome == fateSent, after.Outcome == fateSent
	switch {
	case after.Outcome == fateDead && before.Outcome != fateDead:
		d.Change = "dead"
		change.Dead++
	case sends && !sent:
		d.Change = "more"
		change.More++
	case sent && !sends:
		d.Change = "fewer"
		change.Fewer++
	case sent && !bytes.Equal(before.body, after.body):
		d.Change = "other"
		change.Other++
	default:
		if sent {
			c.Unchanged++
		}
		return
	}
	changes[to.integration] = change
	if len(c.Differences) == maxDifferences {
		c.More++
		return
	}
	if d.Change == "other" {
		d.patch(before.body, after.body)
	}
	c.Differences = append(c.Differences, d)
}

// patch describes how the body changes, unless that takes too much room.
func (d *Difference) patch(before, after []byte) {
	patch, err := jsondiff.CompareJSON(before, after, jsondiff.Invertible())
	if err != nil {
		return // a body that is no JSON
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return
	}
	if len(raw) > maxPatchBytes {
		d.PatchBytes = len(raw)
		return
	}
	d.Patch = raw
}
