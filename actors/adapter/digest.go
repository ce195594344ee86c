package adapter

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// Digester is a Connection that can tell several events in one message.
type Digester interface {
	// EncodeDigest makes the vendor's body of events, the oldest first, as Encode does of one.
	EncodeDigest(events []*event.Event) (json.RawMessage, error)
}

var (
	_ Digester = (*whatsAppConn)(nil)
	_ Digester = (*slackConn)(nil)
	_ Digester = (*emailConn)(nil)
)

// typeDigest is what a digest is called where a message has an event type, such as in template names.
const typeDigest = "digest"

// tellAll makes one notice of several events, with a line for each, and gives the last one's payload.
func (t *teller) tellAll(events []*event.Event) (*notice, payload, error) {
	all := &notice{title: fmt.Sprintf("%d updates", len(events))}
	var last payload
	for i, ev := range events {
		n, p, err := t.tell(ev)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case i == 0:
			all.couple = n.couple
		case all.couple != n.couple:
			all.couple = "several weddings"
		}
		if len(n.schedule) > 0 {
			all.schedule = n.schedule
		}
		all.lines = append(all.lines, line{n.title, shorten(n.summary(), maxNoticeValue)})
		last = p
	}
	if extra := len(all.lines) - maxNoticeLines; extra > 0 {
		// The newest are those that still hold.
		all.lines = append([]line{{"Before", fmt.Sprintf("%d more", extra+1)}}, all.lines[extra+1:]...)
	}
	return all, last, nil
}

// summary gives a notice's facts on one line.
func (n *notice) summary() string {
	facts := make([]string, len(n.lines))
	for i, l := range n.lines {
		facts[i] = l.label + ": " + l.value
	}
	return oneLine(firstOf(strings.Join(facts, "; "), n.notes, n.title))
}

// EncodeDigest implements Digester. The template is the one of the type digest.
func (c *whatsAppConn) EncodeDigest(events []*event.Event) (json.RawMessage, error) {
	n, p, err := c.teller.tellAll(events)
	if err != nil {
		return nil, err
	}
	return c.content(typeDigest, n, p)
}

// EncodeDigest implements Digester.
func (c *slackConn) EncodeDigest(events []*event.Event) (json.RawMessage, error) {
	n, _, err := c.teller.tellAll(events)
	if err != nil {
		return nil, err
	}
	last := *events[len(events)-1]
	last.Type = typeDigest
	return c.message(&last, n)
}

// EncodeDigest implements Digester. The last invitation among the events goes with it.
func (c *emailConn) EncodeDigest(events []*event.Event) (json.RawMessage, error) {
	n, p, err := c.teller.tellAll(events)
	if err != nil {
		return nil, err
	}
	var calendar *invitation
	for _, ev := range events {
		one, p, err := c.teller.tell(ev)
		if err != nil {
			return nil, err
		}
		i, err := invite(ev, one, p)
		if err != nil {
			return nil, err
		}
		if i != nil {
			calendar = i
		}
	}
	return c.mail(events[len(events)-1], n, p, calendar)
}
