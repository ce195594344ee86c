package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// Channels of the even numbers are a supplier's, the others a couple's. Each kind goes to systems of its own, which
// are called by their vendors' names.
var kinds = [2]struct{ prefix, pattern string }{
	{"supplier:dashboard:", "supplier:dashboard:{supplierId}"},
	{"couple:updates:", "couple:updates:{coupleId}"},
}

func routes(kind int) []string {
	return [2][]string{{"studiocloud", "venuemaster", "webhook"}, {"eventplanning", "slack"}}[kind]
}

// inbound is the vendor that publishes by webhooks, on channels of couples.
const inbound = "webhook"

// connect makes the integrations, each with the simulator of its vendor.
func (s *stage) connect(ctx context.Context) error {
	for kind, k := range kinds {
		var targets []event.Target
		for _, name := range routes(kind) {
			in, secrets := s.sims.Lookup(name).Integration(name)
			in.Limits.PerSecond, in.Limits.Burst = 1000, 1000 // Slack's own is one a second
			if name == inbound {
				in.Channel, in.Limits.WebhooksPerHour = kinds[1].pattern, 1_000_000
			}
			if err := s.clients[0].Connect(ctx, in, secrets); err != nil {
				return err
			}
			targets = append(targets, event.Target{Integration: name})
		}
		id := fmt.Sprintf("kind-%d", kind)
		if err := s.clients[0].Map(ctx, event.Mapping{ID: id, Pattern: k.pattern, Targets: targets}); err != nil {
			return err
		}
	}
	return s.clients[0].Publish(ctx, "chaos:begins", []byte(`{"type":"chaos.begins","payload":{}}`)) // see load.behind
}

// An event's mark tells it from all others, whatever protocol it comes or goes by: it is the couple's name and the
// notes, one of which every vendor is told.
var marks = regexp.MustCompile(`\b(r\d+)c(\d+)-\d+\b`)

func markOf(round string, ch, n int) string { return fmt.Sprintf("%sc%d-%d", round, ch, n) }

// channelName is that of a round's channel.
func channelName(round string, ch int) string {
	return fmt.Sprintf("%s%sc%d", kinds[ch%2].prefix, round, ch)
}

// marked finds the mark in what was sent or received, and the channel that goes with it; "": there is none.
func marked(text []byte) (mark, channel string) {
	found := marks.FindSubmatch(text)
	if found == nil {
		return "", ""
	}
	ch, err := strconv.Atoi(string(found[2]))
	if err != nil {
		return "", ""
	}
	return string(found[0]), channelName(string(found[1]), ch)
}

// markIn is the mark in an event.
func markIn(event []byte) string {
	mark, _ := marked(event)
	return mark
}

// received notes what a vendor got.
func (s *stage) received(r vendors.Receipt) {
	mark, channel := marked(r.Body)
	s.mu.Lock()
	switch {
	case !r.Taken || mark == "":
		s.strange = append(s.strange, fmt.Sprintf("%s answered %d to %s: %.300s", r.Vendor, r.Status, r.ID, r.Body))
	default:
		s.receipts = append(s.receipts, checker.Receipt{Integration: r.Vendor, Channel: channel, EventID: mark, DeliveryID: r.ID, At: r.At})
	}
	s.mu.Unlock()
	s.arrival()
}

// arrival lets settle know that something came.
func (s *stage) arrival() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// receiptsOf returns what vendors got on channels of a round.
func (s *stage) receiptsOf(round string) []checker.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []checker.Receipt
	for _, r := range s.receipts {
		if strings.HasPrefix(r.EventID, round+"c") {
			got = append(got, r)
		}
	}
	return got
}

// deliveries counts the different ones that vendors got.
func (s *stage) deliveries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[string]bool{}
	for _, r := range s.receipts {
		ids[r.DeliveryID] = true
	}
	return len(ids)
}
