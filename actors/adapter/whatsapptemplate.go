package adapter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// The parameters that a template can have beside the payload's fields.
const (
	paramTitle   = "$title"   // what happened
	paramCouple  = "$couple"  // who it is about
	paramSummary = "$summary" // the facts, on one line
)

// anyTemplate is the key of the template for event types that have none of their own.
const anyTemplate = "*"

// whatsAppTemplate is a template as the settings name it.
type whatsAppTemplate struct {
	Name       string   `json:"name"`
	Language   string   `json:"language"` // "": the setting language
	Parameters []string `json:"parameters"`
}

var templateName = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)

func (t *whatsAppTemplate) check(eventType string) string {
	if eventType != anyTemplate {
		if err := event.CheckType(eventType); err != nil {
			return err.Error()
		}
	}
	if !templateName.MatchString(t.Name) {
		return fmt.Sprintf("name %.80q: a template's name has a-z, 0-9 and _", t.Name)
	}
	if t.Language != "" && !regexp.MustCompile(whatsAppLanguage).MatchString(t.Language) {
		return fmt.Sprintf("language %.40q: write a language such as en_US or fr", t.Language)
	}
	if len(t.Parameters) > whatsAppMaxParamCount {
		return fmt.Sprintf("has %d parameters; at most %d are allowed", len(t.Parameters), whatsAppMaxParamCount)
	}
	for _, p := range t.Parameters {
		if p == "" || p[0] == '$' && !slices.Contains([]string{paramTitle, paramCouple, paramSummary}, p) {
			return fmt.Sprintf("parameter %.80q is neither a payload field nor one of $title, $couple, $summary", p)
		}
	}
	return ""
}

func (c *whatsAppConn) template(eventType string, n *notice, p payload) (*whatsAppTemplateBody, error) {
	t, ok := c.templates[eventType]
	if !ok {
		t, ok = c.templates[anyTemplate]
	}
	if !ok {
		t = whatsAppTemplate{
			Name:       strings.NewReplacer(".", "_", "-", "_").Replace(eventType),
			Parameters: []string{paramCouple, paramSummary},
		}
	}
	body := &whatsAppTemplateBody{Name: t.Name, Language: whatsAppCode{c.language}}
	if t.Language != "" {
		body.Language.Code = t.Language
	}
	if len(t.Parameters) == 0 {
		return body, nil
	}
	component := whatsAppComponent{Type: "body", Parameters: make([]whatsAppParameter, len(t.Parameters))}
	for i, name := range t.Parameters {
		text, err := n.parameter(name, p)
		if err != nil {
			return nil, err
		}
		component.Parameters[i] = whatsAppParameter{Type: "text", Text: shorten(text, whatsAppMaxParameters/len(t.Parameters))}
	}
	body.Components = []whatsAppComponent{component}
	return body, nil
}

// parameter gives a parameter's text on one line: it may hold no new line, tab or more than four
// spaces in a row, and may not be empty.
func (n *notice) parameter(name string, p payload) (string, error) {
	switch name {
	case paramTitle:
		return n.title, nil
	case paramCouple:
		if n.couple == "" {
			return "", &EncodeError{Field: fieldCoupleName, Reason: "is missing; the template's $couple needs it, or coupleId"}
		}
		return n.couple, nil
	case paramSummary:
		return n.summary(), nil
	}
	s, err := p.need(name)
	if err != nil {
		return "", err
	}
	if s = humanValue(s); s == "" {
		return "", &EncodeError{Field: name, Reason: "is empty; a template parameter must not be"}
	}
	return s, nil
}
