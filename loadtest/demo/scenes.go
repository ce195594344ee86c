package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// timeline: a couple moves the ceremony; the viewers, the photographer's CRM and the guests hear of it.
func (s *stage) timeline(ctx context.Context) error {
	s.story.begin("Amélie moves the ceremony from 15:00 to 16:00 on %s", dashboard)
	const id = "demo-timeline-1"
	if err := s.publish(ctx, dashboard, "timeline.updated", id, `{
		"coupleId": "`+coupleID+`", "coupleName": "Amélie & Jonas", "venue": "Château de Vaux, Orangerie",
		"ceremonyTime": "2027-06-19T16:00:00+02:00", "previousCeremonyTime": "2027-06-19T15:00:00+02:00",
		"schedule": [{"time": "14:30", "title": "First look"}, {"time": "16:00", "title": "Ceremony"}],
		"notes": "Grandmother Odile needs step-free access."}`); err != nil {
		return err
	}
	s.story.step("Jonas sees it live")
	crm, err := s.delivered(ctx, "studiocloud", studio, id)
	if err != nil {
		return err
	}
	var body struct {
		ClientID  string `json:"client_id"`
		ShootDate string `json:"shoot_date"`
		Location  string `json:"location"`
	}
	if err := json.Unmarshal(crm[0].Body, &body); err != nil {
		return fmt.Errorf("the CRM's body: %w", err)
	}
	if body.ClientID != coupleID || body.ShootDate != "2027-06-19T16:00:00+02:00" {
		return fmt.Errorf("the CRM was told %+v", body)
	}
	s.story.step("Studio Cloud took it, signature verified: client_id %s, shoot_date %s", body.ClientID, body.ShootDate)
	mails, err := s.delivered(ctx, "email", email, id)
	if err != nil {
		return err
	}
	invitation, ok := vendors.InvitationOf(mails[0])
	if !ok || invitation.Method != "REQUEST" {
		return errors.New("the mail has no iCalendar invitation")
	}
	s.story.step("The guests' mail came by SMTP: %q with an invitation (METHOD %s, SEQUENCE %d)", invitation.Summary, invitation.Method, invitation.Sequence)
	return nil
}

// capacity: a venue lowers its capacity by webhook; the couple sees it cleaned, the caterer is told,
// and the venue hears the new guest count.
func (s *stage) capacity(ctx context.Context) error {
	to := s.cfg.Node.URL + "/api/webhooks/venuemaster/" + venue
	sim := s.cfg.Vendors.VenueMaster
	hook := vendors.Webhook{ID: "vm-capacity-1", Type: "capacity.changed", Data: map[string]any{
		"venue_id": "ven_41", "venue_name": "Château de Vaux", "client_id": coupleID, "capacity": 110, "previous_capacity": 140,
		"reason": `Fire inspection: the <b onclick="steal()">west</b> door stays closed`,
	}}

	s.story.begin("Somebody who does not know the secret posts a webhook as VenueMaster")
	sim.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: true})
	sent, err := sim.Send(ctx, to, hook)
	sim.Faults().SpoilWebhooks(vendors.WebhookFault{})
	if err != nil {
		return err
	}
	if sent[0].Status != http.StatusUnauthorized {
		return fmt.Errorf("a webhook with a wrong signature was answered %d", sent[0].Status)
	}
	s.story.step("Refused: %d %s", sent[0].Status, problemCode(sent[0].Body))

	s.story.begin("VenueMaster lowers the capacity from 140 to 110 by a signed webhook")
	if sent, err = sim.Send(ctx, to, hook); err != nil {
		return err
	}
	if sent[0].Status != http.StatusAccepted {
		return fmt.Errorf("VenueMaster's webhook was answered %d: %s", sent[0].Status, sent[0].Body)
	}
	s.story.step("Accepted: %d", sent[0].Status)
	found, err := s.events.await(ctx, "the couple sees the capacity", 1, func(e event.Event) bool { return e.Type == "capacity.changed" })
	if err != nil {
		return err
	}
	var seen struct{ Reason string }
	if err := json.Unmarshal(found[0].Payload, &seen); err != nil {
		return err
	}
	if strings.ContainsAny(seen.Reason, "<>") || !strings.Contains(seen.Reason, "west") {
		return fmt.Errorf("what the couple sees was not cleaned: %q", seen.Reason)
	}
	s.story.step("Jonas sees it live, cleaned: %q", seen.Reason)
	if sent, err = sim.Send(ctx, to, hook); err != nil {
		return err
	}
	if sent[0].Status != http.StatusOK {
		return fmt.Errorf("the same webhook once more was answered %d", sent[0].Status)
	}
	s.story.step("The same webhook once more is answered %d and not applied twice", sent[0].Status)
	slack, err := s.delivered(ctx, "slack", caterer, found[0].ID)
	if err != nil {
		return err
	}
	if !strings.Contains(string(slack[0].Body), `"blocks"`) {
		return fmt.Errorf("the caterer's Slack got no Block Kit message: %s", slack[0].Body)
	}
	s.story.step("The caterer's Slack shows a Block Kit message")

	s.story.begin("Amélie tells the venue the new guest count: 104")
	const id = "demo-guests-1"
	if err := s.publish(ctx, updates, "guest_count.changed", id, `{"coupleId":"`+coupleID+`","guestCount":104,"previousGuestCount":124}`); err != nil {
		return err
	}
	got, err := s.delivered(ctx, "venuemaster", venue, id)
	if err != nil {
		return err
	}
	s.story.step("VenueMaster took it, signature verified: %s", got[0].Body)
	return nil
}

// cascade: the date changes for everybody, with vendors failing.
func (s *stage) cascade(ctx context.Context) error {
	s.story.begin("Amélie and Jonas move the wedding to 4 September")
	if err := s.publish(ctx, milestone, "wedding.date_changed", "demo-date-1", moved(1)); err != nil {
		return err
	}
	if err := s.everywhere(ctx, "demo-date-1"); err != nil {
		return err
	}
	if err := s.outage(ctx); err != nil {
		return err
	}
	return s.refusal(ctx)
}

// moved is the payload of the date's n-th change.
func moved(n int) string {
	return fmt.Sprintf(`{"coupleId":%q,"coupleName":"Amélie & Jonas","venue":"Château de Vaux, Orangerie",
		"ceremonyTime":"2027-09-%02dT15:30:00+02:00","previousCeremonyTime":"2027-09-%02dT15:30:00+02:00","notes":"change %d"}`,
		coupleID, 3+n, 2+n, n)
}

// everywhere waits for the events at each of the four systems, as they come.
func (s *stage) everywhere(ctx context.Context, events ...string) error {
	return s.at(ctx, []system{
		{"studiocloud", studio, "Studio Cloud"},
		{"whatsapp", whatsapp, "WhatsApp (template message)"},
		{"slack", caterer, "Slack"},
		{"email", email, "E-mail"},
	}, events...)
}

type system struct{ vendor, integration, name string }

func (s *stage) at(ctx context.Context, systems []system, events ...string) error {
	var wg sync.WaitGroup
	errs := make([]error, len(systems))
	for i, to := range systems {
		wg.Go(func() {
			var got []vendors.Receipt
			if got, errs[i] = s.delivered(ctx, to.vendor, to.integration, events...); errs[i] != nil {
				return
			}
			errs[i] = s.inOrder(to, got, events)
			s.story.step("%s took %s", to.name, count(len(events)))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func count(n int) string {
	if n == 1 {
		return "it"
	}
	return "all " + strconv.Itoa(n) + ", in order"
}

// inOrder checks that deliveries came in the order of their events.
func (s *stage) inOrder(to system, got []vendors.Receipt, events []string) error {
	for i, r := range got {
		if !s.dueOf(to.vendor, to.integration, events[i]).is(r) {
			return fmt.Errorf("%s took %s in place %d, where %s was due", to.name, r.EventID, i+1, events[i])
		}
	}
	return nil
}

// outage: the CRM answers 503 five times in a row; what is for it waits and arrives in order.
func (s *stage) outage(ctx context.Context) error {
	s.story.begin("Studio Cloud goes down: the next 5 calls are answered 503. The date moves three times more")
	s.cfg.Vendors.StudioCloud.Faults().Add(vendors.Fault{Status: http.StatusServiceUnavailable, Times: 5})
	events := []string{"demo-date-2", "demo-date-3", "demo-date-4"}
	for i, id := range events {
		if err := s.publish(ctx, milestone, "wedding.date_changed", id, moved(i+2)); err != nil {
			return err
		}
	}
	errs := make(chan error, 1)
	go func() {
		errs <- s.at(ctx, []system{{"whatsapp", whatsapp, "WhatsApp"}, {"slack", caterer, "Slack"}, {"email", email, "E-mail"}}, events...)
	}()
	opened, err := s.healths.await(ctx, "the breaker opens", 1, func(h event.Health) bool {
		return h.Integration == studio && h.State == event.Open
	})
	if err := errors.Join(err, <-errs); err != nil {
		return err
	}
	s.story.note("Studio Cloud's breaker is open (%s): its deliveries wait, %d of them", opened[0].Reason, opened[0].Waiting+int(opened[0].Parked))
	if err := s.at(ctx, []system{{"studiocloud", studio, "A probe succeeds, the breaker closes; Studio Cloud"}}, events...); err != nil {
		return err
	}
	_, err = s.healths.await(ctx, "the breaker closes", 1, func(h event.Health) bool {
		return h.Integration == studio && h.State != event.Open && h.Since.After(opened[0].Since)
	})
	return err
}

// refusal: WhatsApp refuses one message for good; it is kept, and replayed when the cause is mended.
func (s *stage) refusal(ctx context.Context) error {
	const id = "demo-date-5"
	s.story.begin("WhatsApp does not know the template any more (132001). The date moves once more")
	mend := s.cfg.Vendors.WhatsApp.Faults().Add(vendors.Fault{Code: "132001"})
	defer mend()
	if err := s.publish(ctx, milestone, "wedding.date_changed", id, moved(5)); err != nil {
		return err
	}
	if err := s.at(ctx, []system{{"studiocloud", studio, "Studio Cloud"}, {"slack", caterer, "Slack"}, {"email", email, "E-mail"}}, id); err != nil {
		return err
	}
	seq, letter, err := s.deadLetter(ctx, whatsapp)
	if err != nil {
		return err
	}
	if letter.Delivery.EventID != id {
		return fmt.Errorf("the dead letter is of %s", letter.Delivery.EventID)
	}
	s.story.note("WhatsApp's is in the dead letters: %s %s", letter.Reason, letter.Detail)
	mend()
	if _, err := s.cfg.Node.Call(ctx, http.MethodPost, fmt.Sprintf("/api/dead-letters/%d/replay", seq), nil); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return s.at(ctx, []system{{"whatsapp", whatsapp, "The template is back, the dead letter is replayed; WhatsApp"}}, id)
}

func problemCode(body []byte) string {
	var p struct{ Code string }
	_ = json.Unmarshal(body, &p)
	return p.Code
}
