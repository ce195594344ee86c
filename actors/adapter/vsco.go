package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/event"
)

func init() { register(newVSCO()) }

// vsco keeps one calendar entry a wedding in a studio at VSCO Workspace, formerly Tave, by its REST API
// (workspace.vsco.co/api, version v2: ApiKeyAuth, /event, ExternalMapping, Error), and a contact a client
// in its address book (vscoprofile.go). The API has no idempotency key: the entry is looked up by the
// couple's id before it is made.
//
// Its REST hooks have no documented signature, so nothing is received. A note cannot be looked up by an
// id of ours, and a second one would be made by each retry: notes go into the entry's description.
//
// Settings: link, job_id, base_url. Secrets: api_key.
type vsco struct {
	desc   Description
	teller *teller
}

var (
	_ Adapter    = (*vsco)(nil)
	_ Connection = (*vscoConn)(nil)
	_ Exchanger  = (*vscoConn)(nil)
	_ Prober     = (*vscoConn)(nil)
)

func newVSCO() *vsco {
	sends := []string{TypeTimelineUpdated, TypeWeddingDateChanged, TypeBookingConfirmed}
	return &vsco{teller: newTeller(), desc: Description{
		Vendor:   "vsco",
		Name:     "VSCO Workspace (Tave)",
		Category: event.PhotographyCRM,
		Documented: "The REST API v2, at workspace.vsco.co/api. How REST hooks are signed is not, so none are taken; " +
			"nor whether an update keeps the fields that it leaves out.",
		Sends:    sends,
		Profiles: true,
		Settings: []Field{
			{Name: "link", Label: "Link", Required: true, Example: "https://weddings.example.com/couples", Help: "where the studio can look at what we send; Workspace keeps it beside the entry, 12 to 255 characters"},
			{Name: "job_id", Label: "Job ID", Example: "01h35ccwymj5ctckp8px1azhg6", Help: "the job at Workspace, where the integration is for one wedding; else the entry belongs to no job"},
			{Name: "base_url", Label: "API address", Default: "https://workspace.vsco.co/api/v2", Help: "other than Workspace's own for a test server only"},
		},
		Secrets: []Field{
			{Name: "api_key", Label: "API key", Required: true, Help: "with Read/Write permission, from Settings > API Integrations"},
		},
		Samples: samples(sends...),
	}}
}

func (v *vsco) Describe() Description { return v.desc }

// Bounds of the vendor's fields, in characters (ExternalMapping, Event, Address).
const (
	vscoMaxMapping = 64
	vscoMinLink    = 12
	vscoMaxLink    = 255
	vscoMaxName    = 255
	vscoMaxStreet  = 512
	vscoMaxText    = 8000 // ours: the look-up's answer holds the description, and must fit what is read of one
)

// Connect reads settings and secrets.
func (v *vsco) Connect(in event.Integration, secrets event.Secrets) (Connection, error) {
	f := openForm(&v.desc, in, secrets)
	c := &vscoConn{
		vsco:  v,
		link:  f.address("link"),
		jobID: f.matching("job_id", `^[0-9a-z]{26}$`, "a job's id: 26 digits and small letters"),
		base:  strings.TrimSuffix(f.address("base_url"), "/"),
		key:   first(f.secret("api_key", checkToken)),
	}
	if n := utf8.RuneCountInString(c.link); c.link != "" && (n < vscoMinLink || n > vscoMaxLink) {
		f.problem("settings.link", fmt.Sprintf("has %d characters; 12 to 255 are allowed", n))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// vscoConn is VSCO Workspace bound to one integration.
type vscoConn struct {
	*vsco
	link, jobID, base string
	key               event.Secret
}

// vscoBody is what is stored of a delivery. Job, link and key are added when it is sent.
type vscoBody struct {
	CoupleID string    `json:"coupleId"`
	Event    vscoEvent `json:"event"`
}

// vscoEvent is the part of an entry that we write (Event). Dates have no time and times no offset: they
// are by the clock of ceremonyTime's own offset.
type vscoEvent struct {
	Name        string        `json:"name"`
	StartDate   string        `json:"startDate"`
	StartTime   string        `json:"startTime"`
	EndDate     *string       `json:"endDate"` // null, which NullableDate allows: an update may keep what it leaves out,
	EndTime     *string       `json:"endTime"` // and an end that is not known must not stay before a new start
	Location    *vscoLocation `json:"location,omitempty"`
	Description string        `json:"descriptionHtml"`
	Confirmed   bool          `json:"confirmed,omitempty"`
	JobID       string        `json:"jobId,omitempty"`
	Mappings    []vscoMapping `json:"externalMappings,omitempty"`
}

type vscoLocation struct {
	Address struct {
		Street string `json:"streetAddress"` // the only writable field that takes a venue's name
	} `json:"address"`
}

type vscoMapping struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// Encode makes the wedding's entry of an event.
func (c *vscoConn) Encode(ev *event.Event) (json.RawMessage, error) {
	switch ev.Type {
	case TypeTimelineUpdated, TypeWeddingDateChanged, TypeBookingConfirmed:
	default:
		return nil, ErrUnsupported
	}
	n, p, err := c.teller.tell(ev)
	if err != nil {
		return nil, err
	}
	var b vscoBody
	if b.CoupleID, err = p.need(fieldCoupleID); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(b.CoupleID) > vscoMaxMapping {
		return nil, &EncodeError{Field: fieldCoupleID, Reason: "is longer than the 64 characters that VSCO Workspace can look up"}
	}
	if err := b.Event.times(p); err != nil {
		return nil, err
	}
	venue, err := p.text(fieldVenue)
	if err != nil {
		return nil, err
	}
	if venue != "" {
		b.Event.Location = &vscoLocation{}
		b.Event.Location.Address.Street = shorten(oneLine(venue), vscoMaxStreet)
	}
	b.Event.Name = shorten("Wedding of "+n.couple, vscoMaxName)
	b.Event.Description = strings.ReplaceAll(html.EscapeString(shorten(n.plain(), vscoMaxText)), "\n", "<br>")
	b.Event.Confirmed = ev.Type == TypeBookingConfirmed
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write the body of %s: %w", ev.Type, err)
	}
	return raw, nil
}

func (e *vscoEvent) times(p payload) error {
	_, start, err := p.needTime(fieldCeremonyTime)
	if err != nil {
		return err
	}
	e.StartDate, e.StartTime = start.Format(time.DateOnly), start.Format(time.TimeOnly)
	if !p.has(fieldEndTime) {
		return nil
	}
	_, end, err := p.needTime(fieldEndTime)
	if err != nil {
		return err
	}
	end = end.In(start.Location())
	date, clock := end.Format(time.DateOnly), end.Format(time.TimeOnly)
	e.EndDate, e.EndTime = &date, &clock
	return nil
}

// Call makes the entry; Exchange turns it into an update where there is one already.
func (c *vscoConn) Call(d *event.Delivery, _ time.Time) (*event.Call, error) {
	if d.EventType == event.TypeClientProfile {
		return c.profileCall(d)
	}
	var stored vscoBody
	if err := json.Unmarshal(d.Body, &stored); err != nil || stored.CoupleID == "" {
		return nil, errors.New("the stored body is not an entry's; it was not written by this adapter")
	}
	stored.Event.JobID = c.jobID
	stored.Event.Mappings = []vscoMapping{{ID: stored.CoupleID, URL: c.link}}
	body, err := json.Marshal(stored.Event)
	if err != nil {
		return nil, fmt.Errorf("address the entry: %w", err)
	}
	return c.post(d, "/event", body), nil
}

func (c *vscoConn) post(d *event.Delivery, path string, body []byte) *event.Call {
	h := c.header()
	h["Content-Type"] = []string{"application/json"}
	h[headerDeliveryID], h[headerEventID], h[headerEventType] = []string{d.ID}, []string{d.EventID}, []string{d.EventType}
	return &event.Call{HTTP: &event.HTTPCall{Method: http.MethodPost, URL: c.base + path, Header: h, Body: body}}
}

func (c *vscoConn) header() http.Header {
	return http.Header{"Accept": {"application/json"}, "X-Api-Key": {c.key.Reveal()}}
}

// Probe asks for a page of entries, the smallest there is.
func (c *vscoConn) Probe(time.Time) (*event.Call, error) {
	return &event.Call{HTTP: &event.HTTPCall{Method: http.MethodGet, URL: c.base + "/event?pageSize=10", Header: c.header()}}, nil
}

// Exchange looks the couple's entry, or contact, up before it makes one, so that a try whose answer was lost
// is not made twice. What is there already is updated: repeated, that changes nothing more.
func (c *vscoConn) Exchange(ctx context.Context, call *event.Call, _ time.Time, do Doer) *event.Answer {
	if call.HTTP.Method != http.MethodPost {
		return do(ctx, call)
	}
	write, err := c.writing(call.HTTP)
	if err != nil {
		return &event.Answer{Err: &lookupError{err}}
	}
	found, refused := c.lookUp(ctx, write, do)
	if refused != nil {
		return refused
	}
	if found == nil {
		return do(ctx, call)
	}
	body, err := write.update(found)
	if err != nil {
		return &event.Answer{Err: &lookupError{err}}
	}
	update := *call.HTTP
	update.Method, update.URL, update.Body = http.MethodPut, call.HTTP.URL+"/"+found.ID, body
	return do(ctx, &event.Call{HTTP: &update, Recipient: call.Recipient})
}

// vscoWrite is what is to be written, and how to find what is there of it.
type vscoWrite struct {
	path, client string
	query        url.Values
	// update makes what is written over that, without mappings, that "can not be updated currently"
	// (ExternalMapping).
	update func(found *vscoFound) ([]byte, error)
}

// vscoFound is the part of an entry, or a contact, that is looked up.
type vscoFound struct {
	ID        string        `json:"id"`
	Confirmed bool          `json:"confirmed"`
	Mappings  []vscoMapping `json:"externalMappings"`
}

// writing reads what a call of ours makes.
func (c *vscoConn) writing(call *event.HTTPCall) (vscoWrite, error) {
	path := strings.TrimPrefix(call.URL, c.base)
	if path == vscoAddressBook {
		return writingPerson(call)
	}
	var entry vscoEvent
	if err := json.Unmarshal(call.Body, &entry); err != nil || len(entry.Mappings) == 0 {
		return vscoWrite{}, errors.New("the call holds no entry")
	}
	client := entry.Mappings[0].ID
	return vscoWrite{
		path: path, client: client, query: url.Values{"externalMappingId": {client}, "pageSize": {"10"}},
		update: func(found *vscoFound) ([]byte, error) {
			entry.Confirmed = entry.Confirmed || found.Confirmed // only a booking says so, and later events must not undo it
			entry.Mappings = nil
			return json.Marshal(entry)
		},
	}, nil
}

// lookUp returns what is mapped to the client, nil where there is nothing, or the answer that kept it from
// being known, with a *lookupError. What is hidden counts: it would else be made again each time.
func (c *vscoConn) lookUp(ctx context.Context, w vscoWrite, do Doer) (entry *vscoFound, refused *event.Answer) {
	w.query.Set("includeHidden", "true")
	answer := *do(ctx, &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodGet, URL: c.base + w.path + "?" + w.query.Encode(), Header: c.header(),
	}})
	var found struct {
		Items []vscoFound `json:"items"`
	}
	cause := answer.Err
	switch {
	case cause != nil:
	case answer.Status != http.StatusOK:
		cause = fmt.Errorf("answered %d", answer.Status)
	case json.Unmarshal(answer.Body, &found) != nil || found.Items == nil:
		cause = errors.New("the answer is not a list of entries")
	}
	for i, item := range found.Items {
		switch mine := slices.ContainsFunc(item.Mappings, func(m vscoMapping) bool { return m.ID == w.client }); {
		case cause != nil:
		case mine && isCode(item.ID):
			return &found.Items[i], nil
		case mine:
			cause = errors.New("the entry found has no usable id")
		case w.path != vscoAddressBook: // others may well have that address
			cause = errors.New("the entry found is not the couple's") // rather than write over another one
		}
	}
	if cause == nil {
		return nil, nil
	}
	answer.Err = &lookupError{cause}
	return nil, &answer
}

// lookupError says that a call was not made, since it is not known whether it was made before.
type lookupError struct{ cause error }

func (e *lookupError) Error() string { return "look-up: " + e.cause.Error() }

func (e *lookupError) Unwrap() error { return e.cause }

// Classify goes by the status; the detail is that of the vendor's error {type, title, detail, status}.
func (c *vscoConn) Classify(d *event.Delivery, a *event.Answer) Verdict {
	v := byStatus(a)
	var lookup *lookupError
	if missed := errors.As(a.Err, &lookup); missed && v.Kind == KindDelivered {
		v = Verdict{Kind: KindRetry, Fault: true, Reason: "unexpected_answer"}
	} else if missed && v.Kind == KindDead {
		v.Kind = KindPause // what the look-up refuses, it refuses to all deliveries
	}
	if v.Kind == KindDelivered {
		v.Kept = keptByStatus(d, a)
	} else if v.Detail == "" && a.Status != 0 {
		v.Detail = detail(string(a.Body), c.key.Reveal())
	}
	return v
}
