package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

type integrationsCmd struct {
	List      integrationsListCmd      `cmd:"" default:"withargs" help:"List integrations."`
	Show      integrationsShowCmd      `cmd:"" help:"Show one."`
	Delete    integrationsDeleteCmd    `cmd:"" help:"Delete one with its secrets. What waits for it is skipped."`
	Pause     integrationsPauseCmd     `cmd:"" help:"Send nothing for now; deliveries wait."`
	Resume    integrationsResumeCmd    `cmd:"" help:"Send again, what waited first."`
	Reset     integrationsResetCmd     `cmd:"" help:"Close the breaker: try at once what waits."`
	Reinstate integrationsReinstateCmd `cmd:"" help:"Let one work again that was suspended after failing too often."`
	Secrets   integrationsSecretsCmd   `cmd:"" help:"Set secrets."`
	Health    integrationsHealthCmd    `cmd:"" help:"Show how integrations do."`
	Test      integrationsTestCmd      `cmd:"" help:"Send the vendor a sample now, and show what came of it."`
	Preview   integrationsPreviewCmd   `cmd:"" help:"Show the request that an event would become; nothing is sent."`
	Sync      integrationsSyncCmd      `cmd:"" name:"sync-profiles" help:"Have the vendor told of clients."`
	Vendors   vendorsCmd               `cmd:"" help:"List the vendors, and what must be entered for one."`
}

func integrationPath(id, action string) string {
	path := "/api/integrations/" + url.PathEscape(id)
	if action != "" {
		path += "/" + action
	}
	return path
}

// page is a list as the API gives it.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // cursor of the next page; "": there is none
}

// all asks for every page of a list.
func all[T any](ctx context.Context, c *client, path string, query url.Values) ([]T, error) {
	items := []T{}
	for {
		part, _, err := ask[page[T]](ctx, c, http.MethodGet, path, query, nil)
		if err != nil {
			return nil, err
		}
		items = append(items, part.Items...)
		if part.Next == "" {
			return items, nil
		}
		if query == nil {
			query = url.Values{}
		}
		query.Set("after", part.Next)
	}
}

// listAll lists all that is at a path, as list does.
func listAll[T any](ctx context.Context, p printer, f nodeFlags, path string, head []string, row func(T) []string) error {
	node, err := f.client()
	if err != nil {
		return err
	}
	items, err := all[T](ctx, node, path, nil)
	if err != nil {
		return err
	}
	return list(p, items, head, row)
}

// listedIntegration is an integration as the API shows it.
type listedIntegration struct {
	event.Integration
	Revision uint64 `json:"revision,omitempty"`
	Problems []struct {
		Field  string `json:"field"`
		Reason string `json:"reason"`
	} `json:"problems,omitempty"`
}

// state says in a few words whether the integration can work.
func (in listedIntegration) state() string {
	switch {
	case len(in.Problems) > 0:
		return "incomplete: " + in.Problems[0].Field + ": " + in.Problems[0].Reason
	case in.Disabled:
		return "disabled"
	case in.Paused != nil:
		return "paused: " + in.Paused.Reason
	}
	return "on"
}

type integrationsListCmd struct{ nodeFlags }

func (c integrationsListCmd) Run(ctx context.Context, p printer) error {
	head := []string{"id", "vendor", "category", "owner", "state", "name"}
	return listAll(ctx, p, c.nodeFlags, "/api/integrations", head, func(in listedIntegration) []string {
		return []string{in.ID, in.Vendor, string(in.Category), variables(in.Owner), short(in.state(), 60), in.Name}
	})
}

// variables writes owner variables like "supplierId=42".
func variables(owner map[string]string) string {
	parts := make([]string, 0, len(owner))
	for _, name := range slices.Sorted(maps.Keys(owner)) {
		parts = append(parts, name+"="+owner[name])
	}
	return strings.Join(parts, " ")
}

type integrationsShowCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsShowCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	text, err := node.call(ctx, http.MethodGet, integrationPath(c.ID, ""), nil, nil)
	if err != nil {
		return err
	}
	return p.object(text)
}

// act is a command on one integration that answers with little.
func act(ctx context.Context, p printer, f nodeFlags, method, id, action string, body any, said string) error {
	node, err := f.client()
	if err != nil {
		return err
	}
	text, err := node.call(ctx, method, integrationPath(id, action), nil, body)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return p.told(map[string]string{"id": id}, "%s %s", id, said)
	}
	return p.told(text, "%s %s", id, said)
}

type integrationsDeleteCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsDeleteCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodDelete, c.ID, "", nil, "is deleted")
}

type integrationsPauseCmd struct {
	nodeFlags
	ID     string `arg:"" help:"The integration."`
	Reason string `help:"Why, for others to read." default:"paused by an administrator"`
}

func (c integrationsPauseCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodPost, c.ID, "pause", map[string]string{"reason": c.Reason}, "is paused")
}

type integrationsResumeCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsResumeCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodPost, c.ID, "resume", nil, "sends again")
}

type integrationsResetCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsResetCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodPost, c.ID, "reset-breaker", nil, "tries again at once")
}

type integrationsReinstateCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsReinstateCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodPost, c.ID, "reinstate", nil, "works again")
}

type integrationsSecretsCmd struct {
	Set    integrationsSecretsSetCmd    `cmd:"" help:"Set secrets of an integration; they cannot be read again."`
	Rotate integrationsSecretsRotateCmd `cmd:"" help:"Make a new signing or webhook secret, and show it once."`
	Retire integrationsSecretsRetireCmd `cmd:"" help:"End a rotation: secrets from before neither sign nor verify."`
}

type integrationsSecretsRotateCmd struct {
	nodeFlags
	ID   string `arg:"" help:"The integration."`
	Name string `arg:"" help:"The secret, such as signing."`
}

func (integrationsSecretsRotateCmd) Help() string {
	return `Until "wedsync integrations secrets retire" the old secret works beside the new one: what is sent has both
signatures, and what comes in may have either. So: rotate, enter the new one at the vendor's, retire.`
}

func (c integrationsSecretsRotateCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	made, text, err := ask[struct{ Secret string }](ctx, node, http.MethodPost, integrationPath(c.ID, "secrets/"+url.PathEscape(c.Name)+"/rotate"), nil, nil)
	switch {
	case err != nil:
		return err
	case p.json:
		return p.object(text)
	}
	p.say("%s", made.Secret)
	return nil
}

type integrationsSecretsRetireCmd struct {
	nodeFlags
	ID string `arg:"" help:"The integration."`
}

func (c integrationsSecretsRetireCmd) Run(ctx context.Context, p printer) error {
	return act(ctx, p, c.nodeFlags, http.MethodPost, c.ID, "secrets/retire", nil, "has its new secrets alone")
}

type integrationsSecretsSetCmd struct {
	nodeFlags
	ID     string   `arg:"" help:"The integration."`
	Secret []string `arg:"" help:"NAME=VALUE, NAME=@FILE or NAME=- for standard input." placeholder:"NAME=VALUE"`
}

func (integrationsSecretsSetCmd) Help() string {
	return `"wedsync integrations vendors VENDOR" lists the names. A value on the command line can be seen by
other users of the machine and stays in the shell's history; better give a file.`
}

func (c integrationsSecretsSetCmd) Run(ctx context.Context, w world, p printer) error {
	secrets := map[string]string{}
	for _, s := range c.Secret {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return usageError{fmt.Errorf("%q is not NAME=VALUE", name)}
		}
		text, err := readArgument(value, w.stdin)
		if err != nil {
			return err
		}
		secrets[name] = string(text)
	}
	return act(ctx, p, c.nodeFlags, http.MethodPut, c.ID, "secrets", secrets, "has its secrets")
}

type integrationsHealthCmd struct {
	nodeFlags
	ID string `arg:"" optional:"" help:"One integration; all without."`
}

func (c integrationsHealthCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	var items []event.Health
	if c.ID != "" {
		one, _, err := ask[event.Health](ctx, node, http.MethodGet, integrationPath(c.ID, "health"), nil, nil)
		if err != nil {
			return err
		}
		items = []event.Health{one}
	} else if items, err = all[event.Health](ctx, node, "/api/integrations/health", nil); err != nil {
		return err
	}
	head := []string{"id", "vendor", "state", "success", "in flight", "waiting", "parked", "held", "held until", "since", "why"}
	return list(p, items, head, func(h event.Health) []string {
		return []string{
			h.Integration, h.Vendor, string(h.State), percent(h.SuccessRate), strconv.Itoa(h.InFlight),
			strconv.Itoa(h.Waiting), strconv.FormatUint(h.Parked, 10), strconv.FormatUint(h.Held, 10), clock(h.HeldUntil), clock(h.Since),
			short(cmp.Or(h.Reason, h.LastError), 60),
		}
	})
}

type vendorsCmd struct {
	Vendor string `arg:"" optional:"" help:"One vendor in full; all without."`
}

func (c vendorsCmd) Run(p printer) error {
	if c.Vendor != "" {
		a, err := adapter.Lookup(c.Vendor)
		if err != nil {
			return usageError{err}
		}
		d := a.Describe()
		if p.json {
			return p.object(d)
		}
		return describe(p, d)
	}
	all := make([]adapter.Description, 0, len(adapter.Vendors()))
	for _, id := range adapter.Vendors() {
		a, err := adapter.Lookup(id)
		if err != nil {
			return err
		}
		all = append(all, a.Describe())
	}
	return list(p, all, []string{"vendor", "name", "category", "takes", "sends"}, func(d adapter.Description) []string {
		return []string{d.Vendor, d.Name, cmp.Or(string(d.Category), "yours"), cmp.Or(strings.Join(d.Sends, " "), "all"), strings.ReplaceAll(strings.Join(d.Receives, " "), adapter.AnyType, "all")}
	})
}

func describe(p printer, d adapter.Description) error {
	p.say("%s (%s), %s\n%s\n", d.Name, d.Vendor, cmp.Or(string(d.Category), "category: yours"), d.Documented)
	var rows [][]string
	add := func(prefix string, fields []adapter.Field) {
		for _, f := range fields {
			need := ""
			if f.Required {
				need = "required"
			}
			example := f.Example
			if f.Default != "" {
				example = f.Default + " (default)"
			}
			rows = append(rows, []string{prefix + f.Name, need, example, f.Help})
		}
	}
	add("settings.", d.Settings)
	add("secrets.", d.Secrets)
	return p.table([]string{"enter", "", "such as", "what it is"}, rows)
}
