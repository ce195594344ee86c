package admin

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

const deadPath = "/admin/dead-letters"

// deadURL is where a dead letter is shown, and what is below it.
func deadURL(seq uint64, below string) string {
	return deadPath + "/" + strconv.FormatUint(seq, 10) + below
}

func (a *Admin) routeDead(s *site) {
	s.page(page{path: deadPath, name: "Dead letters", icon: "dead", scope: access.DeadRead, show: a.deadLetters})
	s.page(page{path: deadPath + "/{seq}", under: deadPath, scope: access.DeadRead, show: a.deadLetter})
	s.act(deadPath+"/{seq}/replay", a.replayOne)
	s.act(deadPath+"/{seq}/discard", a.discardOne)
	s.act(deadPath+"/plan", a.planReplay)
	s.act(deadPath+"/replay", a.replayStep)
	s.act(deadPath+"/discard", a.discardChosen)
}

// deadShown is how many dead letters one page lists, and so how many can be chosen at once.
const deadShown = 50

// deadList is what the page shows.
type deadList struct {
	filter  api.DeadFilter
	vendors []vendor
	letters []api.DeadLetter
	after   uint64
	next    uint64
	wrong   string // what is wrong with the filter
}

func (a *Admin) deadLetters(v *visit) (screen, error) {
	x := deadList{filter: deadFilterOf(v.URL.Query()), vendors: allVendors()}
	x.after, _ = strconv.ParseUint(v.query("after"), 10, 64) // else from the first
	var err error
	if x.letters, x.next, err = v.DeadLetters(v.Context(), x.filter, x.after, deadShown); err != nil {
		if x.wrong = unlessOurs(err); x.wrong == "" {
			return screen{}, err
		}
	}
	return screen{title: "Dead letters", body: deadListBody(v, &x), live: []part{{"letters", deadTable(v, &x)}}}, nil
}

// deadFilterOf reads the filter from the parameters of an address, or from a form.
func deadFilterOf(from url.Values) api.DeadFilter {
	get := func(name string) string { return strings.TrimSpace(from.Get(name)) }
	return api.DeadFilter{
		Integration: get("integration"), Vendor: get("vendor"), Reason: get("reason"), Type: get("type"), Channel: get("channel"),
		Since: get("since"), Until: get("until"),
	}
}

// deadFields are a filter's parameters.
func deadFields(f *api.DeadFilter) map[string]string {
	return map[string]string{
		"integration": f.Integration, "vendor": f.Vendor, "reason": f.Reason, "type": f.Type, "channel": f.Channel, "since": f.Since, "until": f.Until,
	}
}

// url is the list with what is behind a number.
func (x *deadList) url(after uint64) string {
	q := deadFields(&x.filter)
	if after > 0 {
		q["after"] = strconv.FormatUint(after, 10)
	}
	return address(deadPath, q)
}

func allVendors() []vendor {
	var all []vendor
	for id, name := range vendorNames() {
		all = append(all, vendor{id, name})
	}
	slices.SortFunc(all, func(a, b vendor) int { return strings.Compare(a.name, b.name) })
	return all
}

// letterView is a dead letter, and what its replay would send.
type letterView struct {
	api.DeadLetter
	vendor  string
	preview previewView
	fate    fate
}

func (a *Admin) deadLetter(v *visit) (screen, error) {
	x := letterView{}
	seq, err := seqOf(v)
	if err == nil {
		x.DeadLetter, err = v.DeadLetter(v.Context(), seq)
	}
	if err != nil {
		return screen{}, err
	}
	d := &x.Letter.Delivery
	x.vendor = cmp.Or(vendorNames()[d.Vendor], d.Vendor)
	x.preview = v.previewOf(d.Integration, d.Channel, x.Letter.EventSeq)
	x.fate = v.fateOf(d.Integration, 1)
	return screen{title: d.EventType, body: deadLetterBody(v, &x)}, nil
}

// attempts are a letter's, as those of a delivery are shown.
func (x *letterView) attempts() []analytics.AttemptRow {
	var all []analytics.AttemptRow
	for _, a := range x.Letter.Attempts {
		all = append(all, analytics.AttemptRow{
			Number: a.Number, StartedAt: a.StartedAt, Duration: a.Duration,
			Status: a.Status, Verdict: a.Verdict, Reason: a.Reason, Detail: a.Detail, Probe: a.Probe,
		})
	}
	return all
}

// seqOf reads which dead letter is meant.
func seqOf(v *visit) (uint64, error) {
	seq, err := strconv.ParseUint(v.PathValue("seq"), 10, 64)
	if err != nil {
		return 0, problem.New(problem.DeadLetterUnknown, "%.40q is no number of a dead letter", v.PathValue("seq"))
	}
	return seq, nil
}

// previewView is what an event becomes for an integration now, or why that is not shown.
type previewView struct {
	*actors.Preview
	why string
}

// notPreviewed is why a preview is not shown to who may not see one.
const notPreviewed = "Your API key lacks channels:read or integrations:read, so what is sent is not shown."

func (v *visit) mayPreview() bool {
	return v.may(access.ChannelsRead) && v.may(access.IntegrationsRead)
}

func (v *visit) previewOf(integration, channel string, seq uint64) previewView {
	if !v.mayPreview() {
		return previewView{why: notPreviewed}
	}
	p, err := v.Preview(v.Context(), integration, channel, seq)
	switch {
	case err != nil:
		return previewView{why: problem.Of(err).Detail}
	case p.Request == nil && p.Mail == nil:
		return previewView{why: "By the mappings and settings of now it would not be sent: " + p.Detail}
	}
	return previewView{Preview: &p}
}

// replayOne sends a dead letter once more on its way.
func (a *Admin) replayOne(v *visit) (templ.Component, error) {
	seq, err := seqOf(v)
	if err != nil {
		return nil, err
	}
	delivery, err := v.Replay(v.Context(), seq)
	if err != nil {
		return nil, err
	}
	return letterReplayed(v, delivery), nil
}

// discardOne removes a dead letter for good.
func (a *Admin) discardOne(v *visit) (templ.Component, error) {
	seq, err := seqOf(v)
	if err != nil {
		return nil, err
	}
	if err := v.Discard(v.Context(), seq); err != nil {
		return nil, err
	}
	return letterDiscarded(), nil
}

// discardChosen removes those that were chosen, until one cannot be removed.
func (a *Admin) discardChosen(v *visit) (templ.Component, error) {
	seqs, err := chosenSeqs(v)
	if err != nil {
		return nil, err
	}
	for _, seq := range seqs {
		if err := v.Discard(v.Context(), seq); err != nil && problem.Of(err).Code != problem.DeadLetterUnknown {
			return nil, err
		}
	}
	return done(count(len(seqs)) + plural(len(seqs), " dead letter is discarded.", " dead letters are discarded.")), nil
}

// chosenSeqs reads which letters of a page are chosen.
func chosenSeqs(v *visit) ([]uint64, error) {
	var seqs []uint64
	for _, text := range v.PostForm["seq"] {
		seq, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, problem.New(problem.FieldInvalid, "%.40q is no number of a dead letter; load the page again", text)
		}
		seqs = append(seqs, seq)
	}
	if len(seqs) == 0 || len(seqs) > deadShown {
		return nil, problem.New(problem.FieldInvalid, "choose 1 to %d of the list first", deadShown)
	}
	return seqs, nil
}
