package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// Who and where.
const (
	coupleID = "cpl_7Qm2x"

	studio   = "studio-cloud"
	venue    = "venue-master"
	caterer  = "caterer-slack"
	whatsapp = "couple-whatsapp"
	email    = "guests-email"

	dashboard = "supplier:dashboard:42"
	updates   = "couple:updates:" + coupleID
	milestone = "journey:milestone:" + coupleID
)

// stage is the demo while it runs.
type stage struct {
	cfg     Config
	story   *story
	couple  couple
	viewer  *wsclient.Client // sees everything, live
	events  seen[event.Event]
	healths seen[event.Health]
	due     seen[due]
	closers []func()
}

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// setStage connects the vendors and the clients.
func setStage(ctx context.Context, cfg Config) (_ *stage, err error) {
	s := &stage{cfg: cfg, story: &story{out: cfg.Out, colour: cfg.Colour, from: time.Now()}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.story.begin("Setting the stage on %s", cfg.Node.URL)
	if err := s.connectVendors(ctx); err != nil {
		return nil, err
	}
	ws := "ws" + strings.TrimPrefix(cfg.Node.URL, "http") + "/connection/websocket"
	token, err := cfg.Node.Token("jonas", []string{"**"}, nil)
	if err != nil {
		return nil, err
	}
	if s.viewer, err = wsclient.Dial(ctx, ws, token); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = s.viewer.Close() })
	for _, channel := range []string{dashboard, updates, milestone} {
		if _, err := s.viewer.Subscribe(ctx, wsclient.Subscribe{Channel: channel, Publication: s.saw}); err != nil {
			return nil, err
		}
	}
	if _, err := s.viewer.Subscribe(ctx, wsclient.Subscribe{Channel: "integration:health:*", Publication: s.sawHealth}); err != nil {
		return nil, err
	}
	if token, err = cfg.Node.Token("amelie", []string{dashboard, updates, milestone}, []string{dashboard, updates, milestone}); err != nil {
		return nil, err
	}
	couple, by, err := newCouple(ctx, cfg.SDK, ws, token)
	if err != nil {
		return nil, err
	}
	s.couple = couple
	s.closers = append(s.closers, couple.close)
	s.story.step("Amélie is connected (%s), Jonas watches (Go client)", by)
	return s, nil
}

func (s *stage) saw(p wsclient.Publication) {
	if e, err := p.Event(); err == nil {
		s.events.add(*e)
	}
}

func (s *stage) sawHealth(p wsclient.Publication) {
	var h event.Health
	if e, err := p.Event(); err == nil && json.Unmarshal(e.Payload, &h) == nil {
		s.healths.add(h)
	}
}

// connectVendors makes an integration with each simulator, and the mappings of the scenes.
func (s *stage) connectVendors(ctx context.Context) error {
	v := s.cfg.Vendors
	for id, vendor := range map[string]vendors.Vendor{
		studio: v.StudioCloud, venue: v.VenueMaster, caterer: v.Slack, whatsapp: v.WhatsApp, email: v.Email,
	} {
		in, secrets := vendor.Integration(id)
		switch id {
		case studio:
			in.Owner = map[string]string{"supplierId": "42"}
		case venue:
			in.Channel = "couple:updates:{coupleId}"
		case whatsapp:
			in.Limits.PerRecipient = event.Duration(250 * time.Millisecond) // the vendor's 6 s would be a long demo
		}
		if err := s.connect(ctx, in, secrets); err != nil {
			return err
		}
	}
	for _, m := range []event.Mapping{
		{
			ID: "timeline", Pattern: "supplier:dashboard:{supplierId}", Types: []string{"timeline.updated"},
			Targets: []event.Target{{Category: event.PhotographyCRM}, {Category: event.EmailService}},
		},
		{ID: "capacity", Pattern: "couple:updates:*", Types: []string{"capacity.changed"}, Targets: []event.Target{{Integration: caterer}}},
		{ID: "guests", Pattern: "couple:updates:*", Types: []string{"guest_count.changed"}, Targets: []event.Target{{Integration: venue}}},
		{
			ID: "cascade", Pattern: "journey:milestone:{coupleId}", Types: []string{"wedding.date_changed"},
			Targets: []event.Target{{Integration: studio}, {Integration: whatsapp}, {Integration: caterer}, {Integration: email}},
		},
	} {
		if _, err := s.cfg.Node.Call(ctx, http.MethodPut, "/api/mappings/"+m.ID, m); err != nil {
			return fmt.Errorf("mapping %s: %w", m.ID, err)
		}
	}
	s.story.step("5 vendors connected: %s", strings.Join([]string{studio, venue, caterer, whatsapp, email}, ", "))
	return nil
}

func (s *stage) connect(ctx context.Context, in event.Integration, secrets event.Secrets) error {
	path := "/api/integrations/" + url.PathEscape(in.ID)
	if _, err := s.cfg.Node.Call(ctx, http.MethodPut, path, in); err != nil {
		return fmt.Errorf("integration %s: %w", in.ID, err)
	}
	values := map[string]string{}
	for name := range secrets {
		values[name] = secrets.Current(name).Reveal()
	}
	if len(values) == 0 {
		return nil
	}
	if _, err := s.cfg.Node.Call(ctx, http.MethodPut, path+"/secrets", values); err != nil {
		return fmt.Errorf("secrets of %s: %w", in.ID, err)
	}
	return nil
}

// publish has the couple publish and waits until the watching client sees it, live.
func (s *stage) publish(ctx context.Context, channel, kind, id, payload string) error {
	err := s.couple.publish(ctx, channel, wsclient.Event{Type: kind, ID: id, Payload: json.RawMessage(payload)})
	if err != nil {
		return err
	}
	_, err = s.events.await(ctx, "Jonas sees "+id, 1, func(e event.Event) bool { return e.ID == id })
	return err
}

// due is a delivery that must arrive.
type due struct{ vendor, event, delivery string }

// dueOf names the delivery of an event that was seen live.
func (s *stage) dueOf(vendor, integration, id string) due {
	d := due{vendor: vendor, event: id}
	events, _ := s.events.now()
	for _, e := range events {
		if e.ID == id {
			d.delivery = event.DeliveryID(e.Channel, id, integration)
		}
	}
	return d
}

// is reports whether a receipt is of this delivery. Vendors whose protocol carries the event's id and
// not the delivery's are told by that.
func (d due) is(r vendors.Receipt) bool {
	return r.Vendor == d.vendor && r.Taken && (r.ID == d.delivery || r.EventID == d.event)
}

// delivered waits until a vendor has taken the events' deliveries, and returns the receipts in the
// order in which they came.
func (s *stage) delivered(ctx context.Context, vendor, integration string, events ...string) ([]vendors.Receipt, error) {
	all := make([]due, len(events))
	for i, id := range events {
		all[i] = s.dueOf(vendor, integration, id)
		s.due.add(all[i])
	}
	return s.cfg.Receipts.await(ctx, vendor+" takes it", len(events), func(r vendors.Receipt) bool {
		return r.Repeat == 0 && slices.ContainsFunc(all, func(d due) bool { return d.is(r) })
	})
}
