package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors"
)

type integrationsPreviewCmd struct {
	nodeFlags
	ID      string `arg:"" help:"The integration."`
	Channel string `arg:"" help:"Such as supplier:dashboard:42."`
	Type    string `arg:"" optional:"" help:"Such as timeline.updated."`
	Payload string `arg:"" optional:"" help:"A JSON object; @FILE reads it from a file, - from standard input. Default: {}."`
	Seq     uint64 `help:"Preview the event that the log has there, in place of a type and a payload." placeholder:"SEQ"`
	Source  string `help:"Who sends the event. Default: api." placeholder:"SOURCE"`
}

func (integrationsPreviewCmd) Help() string {
	return `Secrets, and what is made of them, are masked. Examples:

    wedsync integrations preview alices-crm supplier:dashboard:42 timeline.updated '{"coupleId":"c1"}'

    wedsync integrations preview alices-crm supplier:dashboard:42 --seq 1234`
}

func (c integrationsPreviewCmd) Run(ctx context.Context, w world, p printer) error {
	if (c.Type == "") == (c.Seq == 0) || c.Seq > 0 && c.Payload != "" {
		return usageError{errors.New("give either a type, and a payload, or --seq")}
	}
	ev := map[string]any{"channel": c.Channel}
	if c.Seq > 0 {
		ev["seq"] = c.Seq
	} else {
		payload, err := readArgument(c.Payload, w.stdin)
		if err != nil {
			return err
		}
		if len(payload) == 0 {
			payload = []byte("{}")
		}
		if !json.Valid(payload) {
			return usageError{fmt.Errorf("the payload is not JSON: %s", short(string(payload), 80))}
		}
		ev["type"], ev["payload"] = c.Type, json.RawMessage(payload)
	}
	if c.Source != "" {
		ev["source"] = c.Source
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	preview, text, err := ask[actors.Preview](ctx, node, http.MethodPost, integrationPath(c.ID, "preview"), nil, ev)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	showPreview(p, preview)
	return nil
}

func showPreview(p printer, v actors.Preview) {
	switch {
	case !v.Sends && v.Mapping == "":
		p.say("not sent: %s (%s)", plain(v.Detail), v.Reason)
	case !v.Sends:
		p.say("not sent: %s (%s), mapping %s", plain(v.Detail), v.Reason, v.Mapping)
	default:
		p.say("sent by mapping %s", v.Mapping)
		if v.Detail != "" {
			p.say("%s", plain(v.Detail))
		}
	}
	if r := v.Request; r != nil {
		p.say("\n%s %s", r.Method, plain(r.URL))
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			p.say("%s: %s", name, plain(strings.Join(r.Header[name], ", ")))
		}
		p.say("\n%s", readable(r.Body))
	}
	if m := v.Mail; m != nil {
		p.say("\nmail through %s", plain(m.Server))
		for _, name := range slices.Sorted(maps.Keys(m.Header)) {
			p.say("%s: %s", name, plain(m.Header[name]))
		}
		p.say("\n%s", lines(m.Text))
		if m.Calendar != "" {
			p.say("%s", lines(m.Calendar))
		}
	}
}

// readable indents a body that is JSON.
func readable(body string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(body), "", "  ") != nil {
		return lines(body)
	}
	return lines(out.String())
}

// lines is plain for a text of several lines.
func lines(text string) string {
	all := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := range all {
		all[i] = plain(all[i])
	}
	return strings.Join(all, "\n")
}
