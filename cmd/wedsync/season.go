package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// season is a file of integrations and mappings, as apply reads it and export writes it.
type season struct {
	Integrations []seasonIntegration `json:"integrations"`
	Mappings     []event.Mapping     `json:"mappings"`
}

type seasonIntegration struct {
	event.Integration
	Secrets map[string]string `json:"secrets"`
}

// openSeason reads a season from a file, or from standard input for "-".
func openSeason(file string, stdin io.Reader) (season, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return season{}, usageError{err}
	}
	s, err := readSeason(text)
	if err != nil {
		return season{}, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return s, nil
}

// readSeason reads the YAML and refuses what it does not know.
func readSeason(text []byte) (season, error) {
	var s season
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return s, err
	}
	// A supplierId of 42 is a text, though YAML takes it for a number; so is a condition that is true.
	eachOf(doc["integrations"], func(in map[string]any) {
		textsOf(in["owner"])
		textsOf(in["secrets"])
	})
	eachOf(doc["mappings"], func(m map[string]any) {
		textsOf(m["fields"])
		if text, ok := scalarText(m["when"]); ok && text != "" {
			m["when"] = text
		}
	})
	if err := plusLost(doc["mappings"]); err != nil {
		return s, err
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return s, err
	}
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.DisallowUnknownFields()
	if err = d.Decode(&s); err == nil {
		err = s.check()
	}
	return s, err
}

// eachOf calls change with each entry of a list of objects.
func eachOf(list any, change func(map[string]any)) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		if fields, ok := entry.(map[string]any); ok {
			change(fields)
		}
	}
}

// plusLost refuses recipients that YAML has taken for numbers: their plus is gone.
func plusLost(mappings any) (err error) {
	eachOf(mappings, func(m map[string]any) {
		eachOf(m["targets"], func(t map[string]any) {
			recipients, _ := t["recipients"].([]any)
			for i, r := range recipients {
				if _, text := r.(string); !text && err == nil {
					err = fmt.Errorf(`mapping %v: recipients[%d]: %v is no text; write it in quotes, like "+33612345678"`, m["id"], i, r)
				}
			}
		})
	})
	return err
}

// textsOf makes texts of an object's values.
func textsOf(object any) {
	values, _ := object.(map[string]any)
	for name, v := range values {
		if text, ok := scalarText(v); ok {
			values[name] = text
		}
	}
}

// check finds what can be found without a node.
func (s *season) check() error {
	if len(s.Integrations)+len(s.Mappings) == 0 {
		return errors.New("there are neither integrations nor mappings in it")
	}
	seen := map[string]bool{}
	for i, in := range s.Integrations {
		if err := event.CheckID(in.ID); err != nil {
			return fmt.Errorf("integrations[%d]: %w", i, err)
		}
		if seen["integration "+in.ID] {
			return fmt.Errorf("integrations[%d]: %s is there twice", i, in.ID)
		}
		seen["integration "+in.ID] = true
	}
	for i, m := range s.Mappings {
		if err := registry.CheckMapping(m); err != nil {
			return err
		}
		if seen["mapping "+m.ID] {
			return fmt.Errorf("mappings[%d]: %s is there twice", i, m.ID)
		}
		seen["mapping "+m.ID] = true
	}
	return nil
}

// done says what was done, for programs with the answer, one line each.
func done(p printer, said string, answer any) error {
	if p.json {
		return p.line(answer)
	}
	p.say("%s", said)
	return nil
}
