package adapter

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/event"
)

// Sizes of Block Kit, in characters (docs.slack.dev, reference of each block).
const (
	slackMaxBlocks  = 50
	slackMaxHeader  = 150
	slackMaxSection = 3000
	slackMaxFields  = 10 // in one section
	slackMaxField   = 2000
	slackMaxText    = 40000 // cut off by Slack beyond
	slackMaxBlockID = 255
)

type slackMessage struct {
	Text   string       `json:"text"` // for notifications, and readers without blocks
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	BlockID  string      `json:"block_id,omitempty"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"` // so that "@channel" in a note calls nobody
}

func mrkdwn(s string) slackText { return slackText{Type: "mrkdwn", Text: s, Verbatim: true} }

// Encode makes a message: a header, the facts as fields, the schedule, the notes, and a context
// line. An incoming webhook takes no metadata, so block ids mark the message for programs: the
// header's is the event's id, the context line's the delivery's.
func (c *slackConn) Encode(ev *event.Event) (json.RawMessage, error) {
	n, _, err := c.teller.tell(ev)
	if err != nil {
		return nil, err
	}
	return c.message(ev, n)
}

// message makes the message of a notice, marked with the event that it tells of.
func (c *slackConn) message(ev *event.Event, n *notice) (json.RawMessage, error) {
	m := slackMessage{
		Text: slackEscape(n.heading(), slackMaxText),
		Blocks: []slackBlock{{
			Type: "header", BlockID: clip(ev.ID, slackMaxBlockID),
			Text: &slackText{Type: "plain_text", Text: shorten(n.heading(), slackMaxHeader)},
		}},
	}
	for lines := n.lines; len(lines) > 0; {
		count := min(len(lines), slackMaxFields)
		fields := make([]slackText, count)
		for i, l := range lines[:count] {
			label := "*" + slackEscape(l.label, 100) + "*\n"
			fields[i] = mrkdwn(label + slackEscape(l.value, slackMaxField-utf8.RuneCountInString(label)))
		}
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Fields: fields})
		lines = lines[count:]
	}
	section := func(label, text string) {
		t := mrkdwn("*" + label + "*\n" + slackEscape(text, slackMaxSection-len(label)-3))
		m.Blocks = append(m.Blocks, slackBlock{Type: "section", Text: &t})
	}
	if len(n.schedule) > 0 {
		section("Schedule", strings.Join(n.schedule, "\n"))
	}
	if n.notes != "" {
		section("Notes", n.notes)
	}
	m.Blocks = append(m.Blocks, slackBlock{Type: "context", BlockID: event.DeliveryID(ev.Channel, ev.ID, c.id), Elements: []slackText{
		mrkdwn(slackEscape(ev.Type+" · "+ev.OccurredAt.Format(time.RFC3339), slackMaxField)),
	}})
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the message of %s: %w", ev.Type, err)
	}
	return raw, nil
}

// slackEscape escapes the three characters that control mrkdwn and cuts to at most n characters,
// neither inside a character nor inside an escape.
func slackEscape(s string, n int) string {
	var b strings.Builder
	count := 0
	for i, r := range s {
		piece := string(r)
		switch r {
		case '&':
			piece = "&amp;"
		case '<':
			piece = "&lt;"
		case '>':
			piece = "&gt;"
		}
		size := utf8.RuneCountInString(piece)
		last := i+utf8.RuneLen(r) >= len(s)
		if count+size > n || count+size == n && !last {
			b.WriteString("…")
			break
		}
		count += size
		b.WriteString(piece)
	}
	return b.String()
}

// slackUnescape undoes Slack's escaping of what people write.
func slackUnescape(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}
