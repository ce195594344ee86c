package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/edge/ingest"
)

// document is a page of docs, taken apart.
type document struct {
	blocks map[string][]string // by language
	tables map[string][][]string
}

func readDocument(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	d := document{map[string][]string{}, map[string][][]string{}}
	block, language, head := "", "", ""
	for line := range strings.Lines(string(text)) {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && language == "":
			language, block = strings.TrimSpace(fence), ""
		case isFence:
			d.blocks[language] = append(d.blocks[language], block)
			language = ""
		case language != "":
			block += line
		case !strings.HasPrefix(line, "| "):
			head = ""
		case head == "":
			head = strings.TrimSpace(line)
		case !strings.HasPrefix(line, "| ---"):
			row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
			for i := range row {
				row[i] = strings.Trim(strings.TrimSpace(row[i]), "`")
			}
			d.tables[head] = append(d.tables[head], row)
		}
	}
	return d
}

// TestMappingsDocument evaluates what docs/mappings.md says, and runs its commands.
func TestMappingsDocument(t *testing.T) {
	t.Parallel()
	doc := readDocument(t, "mappings.md")
	d := newBench(t)
	file := d.season(doc.blocks["yaml"][0])
	d.do("apply", "-y", "-f", file)
	var given struct {
		Type       string
		OccurredAt time.Time
		Payload    json.RawMessage
	}
	if err := json.Unmarshal([]byte(doc.blocks["json"][0]), &given); err != nil {
		t.Fatal(err)
	}
	ev := &event.Event{V: 1, ID: "e1", Channel: "supplier:dashboard:42", Type: given.Type, Payload: given.Payload, OccurredAt: given.OccurredAt, Source: "api"}
	evaluate := func(when string, fields map[string]string) (string, error) {
		trial, err := d.node.registry.Try(event.Mapping{
			ID: "doc", Pattern: "supplier:dashboard:{supplierId}", Targets: []event.Target{{Integration: "alices-crm"}}, When: when, Fields: fields,
		})
		if err != nil {
			return "", err
		}
		for _, m := range trial.Resolve(ev) {
			if m.Mapping != "doc" {
				continue
			}
			out, err := m.Event(ev)
			if err != nil {
				return "", err
			}
			var payload struct{ Doc json.RawMessage }
			err = json.Unmarshal(out.Payload, &payload)
			return strings.NewReplacer(`\u0026`, "&").Replace(string(payload.Doc)), err
		}
		return "", nil
	}
	examples := doc.tables["| expression | gives |"]
	for _, row := range examples {
		if got, err := evaluate("", map[string]string{"doc": row[0]}); err != nil || got != row[1] {
			t.Errorf("%s gives %s, %v; the page says %s", row[0], got, err, row[1])
		}
	}
	failures := slices.Concat(doc.tables["| when | is refused with |"], doc.tables["| when | fails with |"])
	for _, row := range failures {
		_, err := evaluate(row[0], nil)
		var at *registry.ExpressionError
		if !errors.As(err, &at) || at.Where() != row[1] {
			t.Errorf("%s: %v; the page says %s", row[0], err, row[1])
		}
	}
	if len(examples) < 15 || len(failures) < 7 {
		t.Errorf("only %d examples and %d failures were found", len(examples), len(failures))
	}

	if _, err := d.node.ingest.Publish(t.Context(), ingest.Draft{Channel: ev.Channel, Type: ev.Type, Payload: ev.Payload, OccurredAt: ev.OccurredAt, Source: "api"}); err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(payload, given.Payload, 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"@event.json": "@" + payload, "season.yaml": file, "backup.yaml": filepath.Join(t.TempDir(), "backup.yaml")}
	ran := 0
	for _, block := range doc.blocks["sh"] {
		for line := range strings.Lines(block) {
			args := shellWords(strings.TrimSpace(line))
			for i := range args {
				if name, ok := files[args[i]]; ok {
					args[i] = name
				}
			}
			if out := d.do(args[1:]...); args[0] != "wedsync" || out == "" {
				t.Errorf("%s printed nothing", line)
			}
			ran++
		}
	}
	if ran < 9 {
		t.Errorf("only %d commands were found", ran)
	}
}

// shellWords splits a line at spaces outside of single quotes.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
