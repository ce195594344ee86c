package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
)

type mappingsCmd struct {
	List    mappingsListCmd    `cmd:"" default:"withargs" help:"List mappings."`
	Show    mappingsShowCmd    `cmd:"" help:"Show one."`
	Put     mappingsPutCmd     `cmd:"" help:"Create one, or change what the flags say of one."`
	Delete  mappingsDeleteCmd  `cmd:"" help:"Delete one."`
	Preview mappingsPreviewCmd `cmd:"" help:"Show what a change would have done with the newest events; nothing is changed."`
}

func mappingPath(id string) string { return "/api/mappings/" + url.PathEscape(id) }

// listedMapping is a mapping as the API shows it.
type listedMapping struct {
	event.Mapping
	Revision uint64 `json:"revision,omitempty"`
}

type mappingsListCmd struct{ nodeFlags }

func (c mappingsListCmd) Run(ctx context.Context, p printer) error {
	head := []string{"id", "pattern", "types", "targets", "when", "fields"}
	return listAll(ctx, p, c.nodeFlags, "/api/mappings", head, func(m listedMapping) []string {
		targets := make([]string, 0, len(m.Targets))
		for _, t := range m.Targets {
			targets = append(targets, targetInWords(t))
		}
		types := "all"
		if len(m.Types) > 0 {
			types = strings.Join(m.Types, " ")
		}
		return []string{m.ID, m.Pattern, types, strings.Join(targets, " "), short(m.When, 60), strconv.Itoa(len(m.Fields))}
	})
}

// targetInWords names a target, and those rules that it has.
func targetInWords(t event.Target) string {
	var rules []string
	if n := len(t.Recipients); n > 0 {
		rules = append(rules, strconv.Itoa(n)+" recipients")
	}
	if t.QuietHours != nil {
		rules = append(rules, "quiet hours")
	}
	if t.Digest != nil {
		rules = append(rules, "digest")
	}
	name := string(t.Category) + t.Integration
	if len(rules) == 0 {
		return name
	}
	return name + " (" + strings.Join(rules, ", ") + ")"
}

type mappingsShowCmd struct {
	nodeFlags
	ID string `arg:"" help:"The mapping."`
}

func (c mappingsShowCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	text, err := node.call(ctx, http.MethodGet, mappingPath(c.ID), nil, nil)
	if err != nil {
		return err
	}
	return p.object(text)
}

type mappingsDeleteCmd struct {
	nodeFlags
	ID string `arg:"" help:"The mapping."`
}

func (c mappingsDeleteCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if _, err := node.call(ctx, http.MethodDelete, mappingPath(c.ID), nil, nil); err != nil {
		return err
	}
	return done(p, "mapping "+c.ID+" is deleted", map[string]string{"id": c.ID})
}

// mappingFlags change a mapping; what is left out stays.
type mappingFlags struct {
	Pattern     string            `help:"Which channels." placeholder:"PATTERN"`
	Type        []string          `help:"Event types; may be repeated. In place of those there are." placeholder:"TYPE"`
	Category    []string          `help:"Categories of integrations; may be repeated. With --integration in place of the targets there are." placeholder:"CATEGORY"`
	Integration []string          `help:"Integrations; may be repeated." placeholder:"ID"`
	When        *string           `help:"The condition, an expression; empty: none." placeholder:"EXPRESSION"`
	Field       map[string]string `help:"A payload field and the expression that makes it; may be repeated. An empty expression takes it out." placeholder:"NAME=EXPRESSION" mapsep:"none"`
}

func (f mappingFlags) change(m *event.Mapping) {
	if f.Pattern != "" {
		m.Pattern = f.Pattern
	}
	if len(f.Type) > 0 {
		m.Types = f.Type
	}
	if len(f.Category)+len(f.Integration) > 0 {
		m.Targets = nil
	}
	for _, c := range f.Category {
		m.Targets = append(m.Targets, event.Target{Category: event.Category(c)})
	}
	for _, id := range f.Integration {
		m.Targets = append(m.Targets, event.Target{Integration: id})
	}
	if f.When != nil {
		m.When = *f.When
	}
	for name, expression := range f.Field {
		if m.Fields == nil {
			m.Fields = map[string]string{}
		}
		if m.Fields[name] = expression; expression == "" {
			delete(m.Fields, name)
		}
	}
}

// changed returns the stored mapping, or a new one, as the flags change it.
func (f mappingFlags) changed(ctx context.Context, node *client, id string) (listedMapping, error) {
	m, _, err := ask[listedMapping](ctx, node, http.MethodGet, mappingPath(id), nil, nil)
	var missing *problemError
	if errors.As(err, &missing) && missing.Code == "mapping_unknown" {
		m, err = listedMapping{Mapping: event.Mapping{ID: id}}, nil
	}
	f.change(&m.Mapping)
	return m, err
}

type mappingsPutCmd struct {
	nodeFlags
	mappingFlags
	ID string `arg:"" help:"The mapping."`
}

func (mappingsPutCmd) Help() string {
	return `For example:

    wedsync mappings put large --pattern 'supplier:dashboard:{supplierId}' --category photography-crm \
      --when 'payload.guestCount > 100' --field 'notes="for " + vars.supplierId'

docs/mappings.md tells what expressions can say.`
}

func (c mappingsPutCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	m, err := c.changed(ctx, node, c.ID)
	if err != nil {
		return err
	}
	text, err := node.call(ctx, http.MethodPut, mappingPath(c.ID), nil, m)
	if err != nil {
		return err
	}
	return done(p, "mapping "+c.ID+" is in force", text)
}

type mappingsPreviewCmd struct {
	nodeFlags
	mappingFlags
	ID   string `arg:"" help:"The mapping."`
	File string `short:"f" help:"Take it from a file for \"wedsync apply\", not from the node; - reads standard input." placeholder:"FILE"`
	Last int    `help:"Look at so many of the newest events." default:"100"`
}

func (c mappingsPreviewCmd) Run(ctx context.Context, w world, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	m, err := c.mapping(ctx, w, node)
	if err != nil {
		return err
	}
	comparison, text, err := ask[actors.Comparison](ctx, node, http.MethodPost, "/api/mappings/preview", nil, map[string]any{"mapping": m, "last": c.Last})
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	return showComparison(p, comparison)
}

// mapping is the one to be previewed.
func (c mappingsPreviewCmd) mapping(ctx context.Context, w world, node *client) (event.Mapping, error) {
	if c.File == "" {
		m, err := c.changed(ctx, node, c.ID)
		return m.Mapping, err
	}
	s, err := openSeason(c.File, w.stdin)
	if err != nil {
		return event.Mapping{}, err
	}
	at := slices.IndexFunc(s.Mappings, func(m event.Mapping) bool { return m.ID == c.ID })
	if at < 0 {
		return event.Mapping{}, usageError{fmt.Errorf("%s has no mapping %s", c.File, c.ID)}
	}
	c.change(&s.Mappings[at])
	return s.Mappings[at], nil
}

func showComparison(p printer, c actors.Comparison) error {
	p.say("%d events looked at; %d deliveries stay as they are", c.Events, c.Unchanged)
	if len(c.Integrations) == 0 {
		p.say("nothing would change")
		return nil
	}
	rows := make([][]string, 0, len(c.Integrations))
	for _, in := range c.Integrations {
		rows = append(rows, []string{in.Integration, strconv.Itoa(in.More), strconv.Itoa(in.Fewer), strconv.Itoa(in.Other), strconv.Itoa(in.Dead)})
	}
	p.say("")
	if err := p.table([]string{"integration", "more", "fewer", "other", "dead"}, rows); err != nil {
		return err
	}
	rows = rows[:0]
	for _, d := range c.Differences {
		rows = append(rows, []string{strconv.FormatUint(d.Seq, 10), d.Channel, d.Type, d.Integration, d.Change, short(whatChanges(d), 200)})
	}
	p.say("")
	if err := p.table([]string{"seq", "channel", "type", "integration", "change", "how"}, rows); err != nil {
		return err
	}
	if c.More > 0 {
		p.say("and %d more", c.More)
	}
	return nil
}

// whatChanges tells a difference on one line.
func whatChanges(d actors.Difference) string {
	switch {
	case d.Patch != nil:
		return string(d.Patch)
	case d.PatchBytes > 0:
		return fmt.Sprintf("a patch of %d bytes", d.PatchBytes)
	case d.After.Detail != "":
		return d.After.Detail
	}
	return fateInWords(d.Before) + " -> " + fateInWords(d.After)
}

func fateInWords(f actors.Fate) string {
	if f.Mapping == "" {
		return f.Outcome
	}
	return f.Outcome + " by " + f.Mapping
}
