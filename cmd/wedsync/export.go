package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

type exportCmd struct {
	nodeFlags
	File string `short:"f" help:"Write to a file. Default: standard output." placeholder:"FILE"`
}

func (exportCmd) Help() string {
	return `Writes all integrations and mappings as "wedsync apply" reads them. Secrets cannot be read; their names
stand there as comments. Pauses are left out: they are of the moment.`
}

func (c exportCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	have, err := fetchStored(ctx, node)
	if err != nil {
		return err
	}
	s := have.season()
	if p.json {
		return p.object(s)
	}
	text, err := s.yaml()
	if err != nil {
		return err
	}
	if c.File == "" {
		_, err := p.out.Write(text)
		return err
	}
	if err := os.WriteFile(c.File, text, 0o600); err != nil {
		return err
	}
	p.say("%d integrations and %d mappings are in %s, without their secrets", len(s.Integrations), len(s.Mappings), c.File)
	return nil
}

// exported is a season as it is written: without what a node fills in.
type exported struct {
	Integrations []exportedIntegration `json:"integrations"`
	Mappings     []exportedMapping     `json:"mappings"`
}

// The names hide the fields that are not written; encoding/json takes the shallower one.
type (
	exportedIntegration struct {
		event.Integration
		V        struct{} `json:"v,omitzero"`
		Category struct{} `json:"category,omitzero"`
	}
	exportedMapping struct {
		event.Mapping
		V struct{} `json:"v,omitzero"`
	}
)

func (s stored) season() exported {
	out := exported{Integrations: []exportedIntegration{}, Mappings: []exportedMapping{}}
	for _, in := range s.integrations {
		out.Integrations = append(out.Integrations, exportedIntegration{Integration: plainIntegration(in.Integration, false)})
	}
	for _, m := range s.mappings {
		out.Mappings = append(out.Mappings, exportedMapping{Mapping: m.Mapping})
	}
	slices.SortFunc(out.Integrations, func(a, b exportedIntegration) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(out.Mappings, func(a, b exportedMapping) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// yaml writes the season for people to read and change.
func (s exported) yaml() ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil { // JSON is YAML
		return nil, err
	}
	plainStyle(&doc)
	doc.HeadComment = "# For \"wedsync apply -f\". Secrets are not in here; enter those that are to be set."
	if root := doc.Content[0]; len(s.Integrations) > 0 {
		for i, entry := range root.Content[1].Content {
			if names := secretNames(s.Integrations[i].Vendor); names != "" {
				entry.HeadComment = "# secrets: {" + names + "}"
			}
		}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return out.Bytes(), e.Close()
}

// plainStyle has YAML written as people write it, and not as the JSON it was read from.
func plainStyle(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, child := range n.Content {
		plainStyle(child)
	}
}

// secretNames lists what a vendor's secrets are called, such as "signing: ..., webhook: ...".
func secretNames(vendor string) string {
	a, err := adapter.Lookup(vendor)
	if err != nil {
		return ""
	}
	var names []string
	for _, f := range a.Describe().Secrets {
		names = append(names, f.Name+": ...")
	}
	return strings.Join(names, ", ")
}
