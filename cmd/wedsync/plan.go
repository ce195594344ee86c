package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wI2L/jsondiff"

	"github.com/wedsync/wedsync/actors/event"
)

// The actions of a plan.
const (
	actionCreate    = "create"
	actionChange    = "change"
	actionDelete    = "delete"
	actionUnchanged = "unchanged"
)

// planned is what is to be done with one integration or mapping.
type planned struct {
	Kind    string   `json:"kind"` // "integration" or "mapping"
	ID      string   `json:"id"`
	Action  string   `json:"action"`
	Changes []string `json:"changes,omitempty"` // such as `settings.url: "a" -> "b"`
	Secrets []string `json:"secrets,omitempty"` // names of those that are set; whether they change is not told

	integration seasonIntegration
	mapping     event.Mapping
	revision    uint64 // of what is changed
}

func (a *planned) idle() bool { return a.Action == actionUnchanged && len(a.Secrets) == 0 }

// plan compares a season with what a node has. What is not in the season is deleted with prune, and not
// mentioned without.
func (s *season) plan(have stored, prune bool) ([]planned, error) {
	var plan []planned
	for _, in := range s.Integrations {
		a := planned{Kind: "integration", ID: in.ID, Action: actionCreate, Secrets: slices.Sorted(maps.Keys(in.Secrets)), integration: in}
		if was, ok := have.integrations[in.ID]; ok {
			a.revision = was.Revision
			if err := a.compare(plainIntegration(was.Integration, in.Paused != nil), plainIntegration(in.Integration, true)); err != nil {
				return nil, err
			}
		}
		plan = append(plan, a)
	}
	for _, m := range s.Mappings {
		a := planned{Kind: "mapping", ID: m.ID, Action: actionCreate, mapping: m}
		if was, ok := have.mappings[m.ID]; ok {
			a.revision = was.Revision
			was.V, m.V = 0, 0
			if err := a.compare(was.Mapping, m); err != nil {
				return nil, err
			}
		}
		plan = append(plan, a)
	}
	if !prune {
		return plan, nil
	}
	// Mappings go first, so that none leads to an integration that is gone.
	for _, id := range slices.Sorted(maps.Keys(have.mappings)) {
		if !slices.ContainsFunc(s.Mappings, func(m event.Mapping) bool { return m.ID == id }) {
			plan = append(plan, planned{Kind: "mapping", ID: id, Action: actionDelete})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have.integrations)) {
		if !slices.ContainsFunc(s.Integrations, func(in seasonIntegration) bool { return in.ID == id }) {
			plan = append(plan, planned{Kind: "integration", ID: id, Action: actionDelete})
		}
	}
	return plan, nil
}

// plainIntegration leaves out what a node fills in by itself, and a pause unless that is wanted.
func plainIntegration(in event.Integration, pause bool) event.Integration {
	in.V, in.Category = 0, ""
	if !pause {
		in.Paused = nil
	}
	if text := strings.TrimSpace(string(in.Settings)); text == "" || text == "null" {
		in.Settings = json.RawMessage(`{}`)
	}
	return in
}

// compare notes the changes from what is stored to what is wanted.
func (a *planned) compare(was, wanted any) error {
	patch, err := jsondiff.Compare(was, wanted)
	if err != nil {
		return fmt.Errorf("%s %s: %w", a.Kind, a.ID, err)
	}
	a.Action = actionUnchanged
	for _, op := range patch {
		a.Action = actionChange
		path := strings.ReplaceAll(strings.TrimPrefix(op.Path, "/"), "/", ".")
		switch op.Type {
		case jsondiff.OperationAdd:
			a.Changes = append(a.Changes, fmt.Sprintf("%s: %s is new", path, inJSON(op.Value)))
		case jsondiff.OperationRemove:
			a.Changes = append(a.Changes, fmt.Sprintf("%s: %s is taken out", path, inJSON(op.OldValue)))
		default:
			a.Changes = append(a.Changes, fmt.Sprintf("%s: %s -> %s", path, inJSON(op.OldValue), inJSON(op.Value)))
		}
	}
	return nil
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(text), 80)
}

// stored is what a node has, by id.
type stored struct {
	integrations map[string]listedIntegration
	mappings     map[string]listedMapping
}

func fetchStored(ctx context.Context, node *client) (stored, error) {
	s := stored{map[string]listedIntegration{}, map[string]listedMapping{}}
	integrations, err := all[listedIntegration](ctx, node, "/api/integrations", nil)
	if err != nil {
		return s, err
	}
	mappings, err := all[listedMapping](ctx, node, "/api/mappings", nil)
	if err != nil {
		return s, err
	}
	for _, in := range integrations {
		s.integrations[in.ID] = in
	}
	for _, m := range mappings {
		s.mappings[m.ID] = m
	}
	return s, nil
}

// carryOut does what is planned, and tells of it as it is done. What somebody else changed since it was
// planned is left alone, with an error.
func (a *planned) carryOut(ctx context.Context, node *client, say func(string)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s: %w", a.Kind, a.ID, err)
		}
	}()
	path := integrationPath(a.ID, "")
	if a.Kind == "mapping" {
		path = mappingPath(a.ID)
	}
	switch a.Action {
	case actionDelete:
		_, err := node.call(ctx, http.MethodDelete, path, nil, nil)
		var gone *problemError
		if errors.As(err, &gone) && gone.Status == http.StatusNotFound {
			err = nil
		}
		if err != nil {
			return err
		}
		say(a.Kind + " " + a.ID + " is deleted")
		return nil
	case actionCreate, actionChange:
		var record any = listedMapping{a.mapping, a.revision}
		if a.Kind == "integration" {
			record = listedIntegration{Integration: a.integration.Integration, Revision: a.revision}
		}
		if _, err := node.call(ctx, http.MethodPut, path, nil, record); err != nil {
			return err
		}
	}
	if len(a.Secrets) > 0 {
		if _, err := node.call(ctx, http.MethodPut, integrationPath(a.ID, "secrets"), nil, a.integration.Secrets); err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
	}
	if !a.idle() {
		say(a.Kind + " " + a.ID + " is in force")
	}
	return nil
}
