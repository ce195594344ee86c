package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

type buriedLetter struct {
	Seq    uint64           `json:"seq" doc:"Its number."`
	Letter event.DeadLetter `json:"letter"`
}

type buriedLetters struct {
	Items []buriedLetter `json:"items" nullable:"false"`
	Next  uint64         `json:"next,omitempty" doc:"Ask again with after=next; without it there are no more."`
}

// DeadFilter says which dead letters are meant: all that is given must hold. It is exported as huma sees nothing else.
type DeadFilter struct {
	Integration string `query:"integration" json:"integration,omitempty" doc:"Only those of this integration."`
	Vendor      string `query:"vendor" json:"vendor,omitempty" doc:"Only those to integrations with this vendor."`
	Reason      string `query:"reason" json:"reason,omitempty" doc:"Only those that died of this, such as attempts_exhausted."`
	Type        string `query:"type" json:"type,omitempty" doc:"Only those of events of this type."`
	Channel     string `query:"channel" json:"channel,omitempty" doc:"Only those of events on this channel, or on those that a pattern such as supplier:dashboard:* selects."`
	Since       string `query:"since" json:"since,omitempty" doc:"Only those that died then or later: an RFC 3339 time, or how long ago, such as 24h."`
	Until       string `query:"until" json:"until,omitempty" doc:"Only those that died before, likewise."`
}

type deadListInput struct {
	DeadFilter
	After uint64 `query:"after" doc:"Only those behind this number."`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
}

type deadInput struct {
	Seq uint64 `path:"seq" doc:"Its number, as listed."`
}

type replayed struct {
	Seq      uint64 `json:"seq" doc:"Of the dead letter, which is gone now."`
	Delivery string `json:"delivery" doc:"Id of the delivery, the same as before."`
	Replay   int    `json:"replay" doc:"How often it has come back."`
}

func (a *API) routeDead(h huma.API) {
	tags := []string{"dead letters"}
	handle(h, huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/api/dead-letters", Tags: tags,
		Security: needs(access.DeadRead),
		Summary:  "List dead letters, the oldest first", Description: "Without what was sent and the event's payload: show one for these.",
	}, a.listDead)
	handle(h, huma.Operation{
		OperationID: "get-dead-letter", Method: http.MethodGet, Path: "/api/dead-letters/{seq}", Tags: tags, Security: needs(access.DeadRead),
		Summary: "Show a dead letter with its event, what was sent, and every attempt", Description: "The integration's secrets are masked.",
	}, a.getDead)
	handle(h, huma.Operation{
		OperationID: "replay-dead-letter", Method: http.MethodPost, Path: "/api/dead-letters/{seq}/replay", Tags: tags, Security: needs(access.DeadReplay),
		Summary:       "Deliver it again, in order and with the same idempotency id",
		DefaultStatus: http.StatusAccepted,
	}, a.replayDead)
	handle(h, huma.Operation{
		OperationID: "replay-dead-letters", Method: http.MethodPost, Path: "/api/dead-letters/replay", Tags: tags, Security: needs(access.DeadReplay),
		Summary:       "Deliver many again, the oldest first",
		Description:   "Through the same lanes, breakers and limits. What cannot be encoded stays, with its problem.",
		DefaultStatus: http.StatusAccepted,
	}, a.replayMany)
	handle(h, huma.Operation{
		OperationID: "discard-dead-letter", Method: http.MethodDelete, Path: "/api/dead-letters/{seq}", Tags: tags, Security: needs(access.DeadReplay),
		Summary: "Discard a dead letter", DefaultStatus: http.StatusNoContent,
	}, a.discardDead)
}

type replayManyInput struct {
	Body struct {
		DeadFilter
		After  uint64 `json:"after,omitempty" doc:"Only those behind this number."`
		Limit  int    `json:"limit,omitempty" default:"100" minimum:"1" maximum:"1000" doc:"At most so many."`
		DryRun bool   `json:"dryRun,omitempty" doc:"Only tell which."`
	}
}

// replayedOne is a dead letter that was replayed, or would be, or cannot be.
type replayedOne struct {
	Seq         uint64 `json:"seq"`
	Integration string `json:"integration"`
	Delivery    string `json:"delivery"`
	Reason      string `json:"reason" doc:"What it died of."`
	Problem     string `json:"problem,omitempty" doc:"Why it cannot be replayed; it stays a dead letter."`
}

type replayedMany struct {
	DryRun bool          `json:"dryRun"`
	Items  []replayedOne `json:"items" nullable:"false" doc:"In order."`
	Next   uint64        `json:"next,omitempty" doc:"Ask again with after=next; without it there are no more."`
}

func noLetter(seq uint64) error {
	return problem.New(problem.DeadLetterUnknown, "there is no dead letter %d; it may have been replayed, discarded or older than 30 days", seq)
}

func (a *API) listDead(ctx context.Context, in *deadListInput) (*body[buriedLetters], error) {
	f, err := a.deadFilter(in.DeadFilter)
	if err != nil {
		return nil, err
	}
	found, err := a.selectDead(ctx, f, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := buriedLetters{Items: make([]buriedLetter, len(found))}
	for i, b := range found {
		l := *b.Letter
		l.Delivery.Body, l.Event.Payload = json.RawMessage("null"), json.RawMessage("null")
		a.maskTexts(l.Delivery.Integration, wordsOf(&l)...)
		out.Items[i] = buriedLetter{b.Seq, l}
	}
	if len(found) == in.Limit {
		out.Next = found[len(found)-1].Seq
	}
	return &body[buriedLetters]{out}, nil
}

// deadFilter is a DeadFilter with what its texts mean.
type deadFilter struct {
	DeadFilter
	channel      event.Pattern
	since, until time.Time
}

func (a *API) deadFilter(given DeadFilter) (f deadFilter, err error) {
	f.DeadFilter = given
	if f.Integration != "" && event.CheckID(f.Integration) != nil {
		return f, problem.New(problem.FieldInvalid, "integration: %v", event.CheckID(f.Integration))
	}
	if f.Channel != "" {
		if f.channel, err = event.ParsePattern(f.Channel); err != nil {
			return f, problem.New(problem.FieldInvalid, "channel: %v", err)
		}
	}
	if f.since, err = a.since("since", f.Since); err == nil {
		f.until, err = a.since("until", f.Until)
	}
	return f, err
}

func (f *deadFilter) takes(l *event.DeadLetter) bool {
	d := &l.Delivery
	if f.Channel != "" {
		if _, ok := f.channel.Match(d.Channel); !ok {
			return false
		}
	}
	return (f.Vendor == "" || d.Vendor == f.Vendor) && (f.Type == "" || d.EventType == f.Type) && (f.Reason == "" || l.Reason == f.Reason) &&
		!l.DiedAt.Before(f.since) && (f.until.IsZero() || l.DiedAt.Before(f.until))
}

// selectDead returns the first limit dead letters behind a number that the filter takes. It looks at more at once the
// fewer it takes: each comes with all that was sent.
func (a *API) selectDead(ctx context.Context, f deadFilter, after uint64, limit int) ([]journal.Buried, error) {
	const most = 1000
	var all []journal.Buried
	for look := limit; ; look = min(2*look, most) {
		found, err := a.findDead(ctx, journal.DeadQuery{Integration: f.Integration, After: after, Limit: look})
		if err != nil || len(found) == 0 {
			return all, err
		}
		for _, b := range found {
			if after = b.Seq; f.takes(b.Letter) {
				all = append(all, b)
			}
			if len(all) == limit {
				return all, nil
			}
		}
	}
}

// findDead looks, for a caller who is bound, at each of their integrations: others' letters may be many.
func (a *API) findDead(ctx context.Context, q journal.DeadQuery) ([]journal.Buried, error) {
	c := callerOf(ctx)
	switch {
	case q.Integration != "" && !a.reachable(c, q.Integration):
		return nil, nil
	case q.Integration != "" || !c.Bound():
		return a.cfg.Dead.DeadLetters(ctx, q)
	}
	var all []journal.Buried
	for _, id := range a.own(c) {
		q.Integration = id
		found, err := a.cfg.Dead.DeadLetters(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(x, y journal.Buried) int { return cmp.Compare(x.Seq, y.Seq) })
	return all[:min(len(all), q.Limit)], nil
}

func (a *API) letter(ctx context.Context, seq uint64) (*journal.Buried, error) {
	b, err := a.cfg.Dead.DeadLetter(ctx, seq)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, noLetter(seq)
	}
	if err == nil && !a.reachable(callerOf(ctx), b.Letter.Delivery.Integration) {
		return nil, noLetter(seq)
	}
	return b, err
}

func (a *API) getDead(ctx context.Context, in *deadInput) (*body[buriedLetter], error) {
	b, err := a.letter(ctx, in.Seq)
	if err != nil {
		return nil, err
	}
	if err := a.maskLetter(b.Letter); err != nil {
		return nil, err
	}
	return &body[buriedLetter]{buriedLetter{b.Seq, *b.Letter}}, nil
}

// maskLetter takes the integration's secrets out of what was sent and what was answered: an event may have carried
// them, or a vendor told them back.
func (a *API) maskLetter(l *event.DeadLetter) error {
	e, ok := a.cfg.Integrations.Lookup(l.Delivery.Integration)
	if !ok {
		return nil // its secrets are gone with it
	}
	for _, raw := range []*json.RawMessage{&l.Delivery.Body, &l.Event.Payload} {
		text, err := e.Mask(string(*raw))
		if err != nil {
			return err
		}
		if *raw = json.RawMessage(text); !json.Valid(*raw) {
			*raw, _ = json.Marshal(text) // a secret that was a number; a text never fails
		}
	}
	a.maskTexts(l.Delivery.Integration, wordsOf(l)...)
	return nil
}

// wordsOf are what vendors answered.
func wordsOf(l *event.DeadLetter) []*string {
	texts := []*string{&l.Detail}
	for i := range l.Attempts {
		texts = append(texts, &l.Attempts[i].Detail)
	}
	return texts
}

// maskTexts takes an integration's secrets out of what was answered. Where they cannot be opened, nobody knows what the
// texts have of them, and these go.
func (a *API) maskTexts(integration string, texts ...*string) {
	e, ok := a.cfg.Integrations.Lookup(integration)
	if !ok {
		return // its secrets are gone with it
	}
	for _, text := range texts {
		masked, err := e.Mask(*text)
		if err != nil {
			masked = ""
		}
		*text = masked
	}
}

func (a *API) replayDead(ctx context.Context, in *deadInput) (_ *body[replayed], err error) {
	owner := map[string]string(nil)
	defer func() { a.audit(ctx, owner, "dead.replay", strconv.FormatUint(in.Seq, 10), "", err) }()
	b, err := a.letter(ctx, in.Seq)
	if err != nil {
		return nil, err
	}
	owner = a.ownerOf(ctx, b.Letter.Delivery.Integration)
	d, err := a.replay(ctx, in.Seq)
	if err != nil {
		return nil, err
	}
	return &body[replayed]{replayed{in.Seq, d.ID, d.Replay}}, nil
}

func (a *API) replay(ctx context.Context, seq uint64) (*event.Delivery, error) {
	d, err := a.cfg.Engine.Replay(ctx, seq)
	var encode *adapter.EncodeError
	var settings *adapter.SettingsError
	switch {
	case errors.Is(err, journal.ErrNotFound):
		return nil, noLetter(seq)
	case errors.As(err, &encode), errors.As(err, &settings), errors.Is(err, adapter.ErrUnsupported), errors.Is(err, actors.ErrUnknown):
		return nil, problem.New(problem.ReplayImpossible, "%v; mend that first, or discard it", err)
	}
	return d, err
}

func (a *API) replayMany(ctx context.Context, in *replayManyInput) (_ *body[replayedMany], err error) {
	out := replayedMany{DryRun: in.Body.DryRun, Items: []replayedOne{}}
	if !out.DryRun {
		defer func() { a.auditReplays(ctx, in, out.Items, err) }()
	}
	f, err := a.deadFilter(in.Body.DeadFilter)
	if err != nil {
		return nil, err
	}
	found, err := a.selectDead(ctx, f, in.Body.After, in.Body.Limit)
	if err != nil {
		return nil, err
	}
	for _, b := range found {
		l := b.Letter
		one := replayedOne{Seq: b.Seq, Integration: l.Delivery.Integration, Delivery: l.Delivery.ID, Reason: l.Reason}
		if !out.DryRun {
			switch _, err := a.replay(ctx, b.Seq); {
			case err == nil:
			case problemOf(err).Code == problem.ReplayImpossible, problemOf(err).Code == problem.DeadLetterUnknown:
				one.Problem = problemOf(err).Detail
			default:
				return nil, err
			}
		}
		out.Items = append(out.Items, one)
	}
	if len(found) == in.Body.Limit {
		out.Next = found[len(found)-1].Seq
	}
	return &body[replayedMany]{out}, nil
}

// auditReplays records, for each integration, how many of its dead letters were replayed: each may be of
// another owner.
func (a *API) auditReplays(ctx context.Context, in *replayManyInput, items []replayedOne, err error) {
	count := map[string]int{}
	for _, item := range items {
		count[item.Integration]++
	}
	if len(items) == 0 {
		count[in.Body.Integration] = 0
	}
	for _, id := range slices.Sorted(maps.Keys(count)) {
		a.audit(ctx, a.ownerOf(ctx, id), "dead.replay_many", id, fmt.Sprintf("%d dead letters%s", count[id], in.Body.words()), err)
	}
}

// words says what was given beside the integration, each cut.
func (f *DeadFilter) words() string {
	var b strings.Builder
	for _, part := range [][2]string{
		{"vendor", f.Vendor}, {"reason", f.Reason}, {"type", f.Type}, {"channel", f.Channel}, {"since", f.Since}, {"until", f.Until},
	} {
		if part[1] != "" {
			fmt.Fprintf(&b, ", %s %.80q", part[0], part[1])
		}
	}
	return b.String()
}

func (a *API) discardDead(ctx context.Context, in *deadInput) (_ *struct{}, err error) {
	owner := map[string]string(nil)
	defer func() { a.audit(ctx, owner, "dead.discard", strconv.FormatUint(in.Seq, 10), "", err) }()
	b, err := a.letter(ctx, in.Seq)
	if err != nil {
		return nil, err
	}
	owner = a.ownerOf(ctx, b.Letter.Delivery.Integration)
	return nil, a.cfg.Dead.Exhume(ctx, in.Seq)
}
