package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
)

type integrationsPutCmd struct {
	nodeFlags
	File string `short:"f" required:"" help:"The file; - reads standard input." placeholder:"FILE"`
}

func (integrationsPutCmd) Help() string {
	return `The file has integrations, with their secrets if these are to be set, and mappings:

    integrations:
      - id: alices-crm
        vendor: studiocloud
        owner: {supplierId: 42}
        settings: {url: https://crm.example.com/hooks/wedsync}
        secrets: {signing: whsec_...}
    mappings:
      - id: timelines
        pattern: supplier:dashboard:{supplierId}
        types: [timeline.updated]
        targets: [{category: photography-crm}]

What stands there already under an id is replaced; what is not named stays as it is.`
}

// season is a file of integrations and mappings.
type season struct {
	Integrations []seasonIntegration `json:"integrations"`
	Mappings     []event.Mapping     `json:"mappings"`
}

type seasonIntegration struct {
	event.Integration
	Secrets map[string]string `json:"secrets"`
}

// readSeason reads the YAML and refuses what it does not know.
func readSeason(text []byte) (season, error) {
	var s season
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return s, err
	}
	// A supplierId of 42 is a text, though YAML takes it for a number.
	integrations, _ := doc["integrations"].([]any)
	for _, in := range integrations {
		fields, _ := in.(map[string]any)
		for _, name := range []string{"owner", "secrets"} {
			values, _ := fields[name].(map[string]any)
			for k, v := range values {
				if text, ok := scalarText(v); ok {
					values[k] = text
				}
			}
		}
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return s, err
	}
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	if len(s.Integrations)+len(s.Mappings) == 0 {
		return s, errors.New("there are neither integrations nor mappings in it")
	}
	for i, in := range s.Integrations {
		if err := event.CheckID(in.ID); err != nil {
			return s, fmt.Errorf("integrations[%d]: %w", i, err)
		}
	}
	for i := range s.Mappings {
		if err := s.Mappings[i].Validate(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (c integrationsPutCmd) Run(ctx context.Context, w world, p printer) error {
	var text []byte
	var err error
	if c.File == "-" {
		text, err = io.ReadAll(w.stdin)
	} else {
		text, err = os.ReadFile(c.File)
	}
	if err != nil {
		return usageError{err}
	}
	s, err := readSeason(text)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.File, err)}
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	for _, in := range s.Integrations {
		if err := in.put(ctx, node, p); err != nil {
			return fmt.Errorf("integration %s: %w", in.ID, err)
		}
	}
	for _, m := range s.Mappings {
		text, err := node.call(ctx, http.MethodPut, "/api/mappings/"+url.PathEscape(m.ID), nil, m)
		if err != nil {
			return fmt.Errorf("mapping %s: %w", m.ID, err)
		}
		if err := done(p, "mapping "+m.ID+" is in force", text); err != nil {
			return err
		}
	}
	return nil
}

func (in seasonIntegration) put(ctx context.Context, node *client, p printer) error {
	text, err := node.call(ctx, http.MethodPut, integrationPath(in.ID, ""), nil, in.Integration)
	if err != nil {
		return err
	}
	if len(in.Secrets) > 0 {
		if _, err := node.call(ctx, http.MethodPut, integrationPath(in.ID, "secrets"), nil, in.Secrets); err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
	}
	return done(p, "integration "+in.ID+" is in force", text)
}

// done says what was done, for programs with the answer, one line each.
func done(p printer, said string, answer json.RawMessage) error {
	if p.json {
		return p.line(answer)
	}
	p.say("%s", said)
	return nil
}
