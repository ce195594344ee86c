package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wedsync/wedsync/edge/access"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" default:"withargs" help:"List the API keys that were made, without their texts."`
	Create keysCreateCmd `cmd:"" help:"Make an API key. Its text is shown once."`
	Revoke keysRevokeCmd `cmd:"" help:"Revoke API keys, at once and on every node."`
	Scopes keysScopesCmd `cmd:"" help:"List the scopes that a key can have."`
}

func keyPath(id string) string { return "/api/keys/" + url.PathEscape(id) }

type keysListCmd struct{ nodeFlags }

func (keysListCmd) Help() string {
	return `Examples:

    wedsync keys

    wedsync keys --json`
}

func (c keysListCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	items, err := all[access.Key](ctx, node, "/api/keys", nil)
	if err != nil {
		return err
	}
	if len(items) == 0 && !p.json {
		p.say("no keys but the administrator's")
		return nil
	}
	return list(p, items, []string{"id", "name", "scopes", "owner", "channels", "expires", "used", "by", "made"}, func(k access.Key) []string {
		return []string{
			k.ID, k.Name, scopesText(k.Scopes), variables(k.Owner), strings.Join(k.Channels, " "), cmp.Or(clock(k.ExpiresAt), "never"), cmp.Or(clock(k.LastUsedAt), "never"), k.CreatedBy, clock(k.CreatedAt),
		}
	})
}

func scopesText(scopes []access.Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	return strings.Join(texts, " ")
}

type keysCreateCmd struct {
	nodeFlags
	Name    string            `arg:"" help:"Who holds it, such as billing-service."`
	Scope   []access.Scope    `required:"" help:"What it may do; see wedsync keys scopes." placeholder:"SCOPE"`
	Owner   map[string]string `help:"Bind it to this owner: it reaches only what is that owner's." placeholder:"NAME=VALUE"`
	Channel []string          `help:"Patterns of the channels that it reaches, in which {supplierId} stands for the owner's. Default: all, or none if it has an owner." placeholder:"PATTERN"`
	Expires string            `help:"When it ends: a time in RFC 3339, or how long it lasts, such as 720h. Default: never." placeholder:"TIME"`
}

func (keysCreateCmd) Help() string {
	return `A key can do no more than the key that makes it. The text cannot be had again: the node stores its hash alone.

Examples:

    wedsync keys create website --scope channels:publish,channels:read --expires 2160h

    wedsync keys create alice --owner supplierId=42 --channel 'supplier:dashboard:{supplierId}' --scope integrations:read,integrations:write,secrets:write,dead-letters:read,dead-letters:replay`
}

// createdKey is the answer of POST /api/keys.
type createdKey struct {
	access.Key
	Text string `json:"key"`
}

func (c keysCreateCmd) Run(ctx context.Context, p printer) error {
	k := access.Key{Name: c.Name, Scopes: c.Scope, Owner: c.Owner, Channels: c.Channel}
	if c.Expires != "" {
		at, err := ending(c.Expires, time.Now())
		if err != nil {
			return usageError{err}
		}
		k.ExpiresAt = at
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	made, text, err := ask[createdKey](ctx, node, http.MethodPost, "/api/keys", nil, k)
	if err != nil {
		return err
	}
	if p.json {
		return p.object(text)
	}
	p.say("key %s of %s is made; this is shown once:\n%s", made.ID, plain(made.Name), plain(made.Text))
	return nil
}

// ending reads a time, or a duration after now.
func ending(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--expires %q is neither a time in RFC 3339 nor a duration such as 720h", text)
	}
	return at, nil
}

type keysRevokeCmd struct {
	nodeFlags
	ID []string `arg:"" help:"Their ids, as listed."`
}

func (keysRevokeCmd) Help() string {
	return `Example:

    wedsync keys revoke 7hq2mzk4ab`
}

func (c keysRevokeCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	for _, id := range c.ID {
		if _, err := node.call(ctx, http.MethodDelete, keyPath(id), nil, nil); err != nil {
			return err
		}
		if err := done(p, "key "+id+" is revoked", map[string]string{"id": id}); err != nil {
			return err
		}
	}
	return nil
}

type keysScopesCmd struct{}

func (keysScopesCmd) Run(p printer) error {
	type scope struct {
		Scope   access.Scope `json:"scope"`
		Allows  string       `json:"allows"`
		Unbound bool         `json:"unbound,omitempty"`
	}
	items := []scope{}
	for _, k := range access.Scopes() {
		items = append(items, scope(k))
	}
	return list(p, items, []string{"scope", "for an owner", "allows to"}, func(k scope) []string {
		bound := "yes"
		if k.Unbound {
			bound = "no"
		}
		return []string{string(k.Scope), bound, k.Allows}
	})
}
