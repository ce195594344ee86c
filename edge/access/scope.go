package access

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is one thing that a key may do.
type Scope string

// The scopes.
const (
	Admin             Scope = "admin"
	ChannelsPublish   Scope = "channels:publish"
	ChannelsRead      Scope = "channels:read"
	IntegrationsRead  Scope = "integrations:read"
	IntegrationsWrite Scope = "integrations:write"
	SecretsWrite      Scope = "secrets:write"
	MappingsRead      Scope = "mappings:read"
	MappingsWrite     Scope = "mappings:write"
	DeliveriesRead    Scope = "deliveries:read"
	DeadRead          Scope = "dead-letters:read"
	DeadReplay        Scope = "dead-letters:replay"
	AuditRead         Scope = "audit:read"
	KeysRead          Scope = "keys:read"
	KeysWrite         Scope = "keys:write"
	StatusRead        Scope = "status:read"
	WeddingsErase     Scope = "weddings:erase"
	ProfilesSync      Scope = "profiles:sync"
	ClusterWrite      Scope = "cluster:write"
)

// ScopeKind is one line of the table of scopes.
type ScopeKind struct {
	Scope   Scope
	Allows  string
	Unbound bool // it is about all owners: a key that is bound to one cannot have it
}

// Scopes returns the table.
func Scopes() []ScopeKind { return slices.Clone(table) }

// table is never written to. A scope's place in it is its bit in a set.
var table = []ScopeKind{
	{Admin, "everything", true},
	{ChannelsPublish, "publish events", false},
	{ChannelsRead, "read the history of channels", false},
	{IntegrationsRead, "see integrations and their health", false},
	{IntegrationsWrite, "make, change, delete, pause and resume integrations", false},
	{SecretsWrite, "set the secrets of integrations", false},
	{MappingsRead, "see mappings", false},
	{MappingsWrite, "make, change and delete mappings", false},
	{DeliveriesRead, "find deliveries, and read what the numbers say of them", false},
	{DeadRead, "see dead letters, with what was sent", false},
	{DeadReplay, "replay and discard dead letters", false},
	{AuditRead, "read who did what", false},
	{KeysRead, "see keys, without their texts", false},
	{KeysWrite, "make and revoke keys that may do no more", false},
	{StatusRead, "see how the node and its log stand", true},
	{WeddingsErase, "remove a couple's personal data", true},
	{ProfilesSync, "tell vendors of clients, and see how that goes", false},
	{ClusterWrite, "drain and remove nodes, and replace the keys that they share", true},
}

// set is a set of scopes.
type set uint32

// setOf leaves out what this release does not know: that allows nothing.
func setOf(scopes ...Scope) set {
	var s set
	for _, scope := range scopes {
		s |= bit(scope)
	}
	return s
}

// bit is the scope's, 0 where it is none.
func bit(scope Scope) set {
	for i := range table {
		if table[i].Scope == scope {
			return 1 << i
		}
	}
	return 0
}

// has reports whether the scope is in the set; Admin is every scope.
func (s set) has(scope Scope) bool { return s&(bit(scope)|bit(Admin)) != 0 }

// checkScopes returns what is wrong with the scopes of a key that is to be made.
func checkScopes(scopes []Scope, bound bool) error {
	if len(scopes) == 0 {
		return fmt.Errorf("scopes: name at least one of %s", names())
	}
	for i, s := range scopes {
		at := slices.IndexFunc(table, func(k ScopeKind) bool { return k.Scope == s })
		switch {
		case at < 0:
			return fmt.Errorf("scopes[%d]: %.40q is none; there are %s", i, s, names())
		case slices.Contains(scopes[:i], s):
			return fmt.Errorf("scopes[%d]: %s is there twice", i, s)
		case bound && table[at].Unbound:
			return fmt.Errorf("scopes[%d]: a key that is bound to an owner cannot have %s, which is about all owners", i, s)
		}
	}
	return nil
}

func names() string {
	all := make([]string, len(table))
	for i, k := range table {
		all[i] = string(k.Scope)
	}
	return strings.Join(all, ", ")
}
