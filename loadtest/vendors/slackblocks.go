package vendors

import "unicode/utf8"

// slackMessage is as much of a message as Slack checks.
type slackMessage struct {
	Channel  string       `json:"channel"`
	Text     string       `json:"text"`
	Blocks   []slackBlock `json:"blocks"`
	Metadata *struct {
		Type    string            `json:"event_type"`
		Payload map[string]string `json:"event_payload"`
	} `json:"metadata"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	BlockID  string      `json:"block_id"`
	Text     *slackText  `json:"text"`
	Fields   []slackText `json:"fields"`
	Elements []slackText `json:"elements"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// check gives Slack's error code for what is wrong with a message, or "".
func (m *slackMessage) check() string {
	switch {
	case m.Text == "" && len(m.Blocks) == 0:
		return "no_text"
	case utf8.RuneCountInString(m.Text) > 40_000:
		return "msg_too_long"
	case len(m.Blocks) > 50:
		return "invalid_blocks"
	case m.Metadata != nil && m.Metadata.Type == "":
		return "invalid_metadata_format"
	}
	for i := range m.Blocks {
		if !m.Blocks[i].valid() {
			return "invalid_blocks"
		}
	}
	return ""
}

func (b *slackBlock) valid() bool {
	if utf8.RuneCountInString(b.BlockID) > 255 {
		return false
	}
	switch b.Type {
	case "header":
		return b.Text != nil && b.Text.Type == "plain_text" && b.Text.within(150)
	case "section":
		if b.Text != nil && !b.Text.within(3000) || b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > 10 {
			return false
		}
		return allWithin(b.Fields, 2000)
	case "context":
		return len(b.Elements) > 0 && len(b.Elements) <= 10 && allWithin(b.Elements, 3000)
	case "divider":
		return true
	}
	return false
}

func (t *slackText) within(limit int) bool {
	n := utf8.RuneCountInString(t.Text)
	return (t.Type == "plain_text" || t.Type == "mrkdwn") && n > 0 && n <= limit
}

func allWithin(texts []slackText, limit int) bool {
	for i := range texts {
		if !texts[i].within(limit) {
			return false
		}
	}
	return true
}
