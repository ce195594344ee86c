// Package registry holds the configuration of integrations and mappings, and answers which
// integrations an event goes to.
//
// The log's "config" bucket (keys integration.<id> and mapping.<id>) and its "secrets" bucket (keys
// integration.<id>, sealed) are the truth. Every node watches both and keeps an index of them in
// memory; writes go to the buckets and come back through the same watch, so there is one way into
// the index, and a writer waits until its own write has come by.
//
//	Put, SetSecrets, PutMapping ... ──> buckets ──watch──> index <── Resolve, Lookup
//	                                                         └─────> Subscribe
//
// The index holds an integration as the bytes it is stored as, and decodes it when it is first
// asked for: of 100,000 configured integrations most are idle. Mappings are a trie by segment of
// their patterns; integrations are grouped by category and owner, so that resolving an event costs
// what it matches, not what is configured.
//
// A mapping's expressions are compiled when it comes into the index, and evaluated when it is resolved,
// without the lock: a condition that is false leaves an integration to the next mapping, fields make the
// payload that is delivered. What an evaluation may cost is counted, see meter.go.
//
// Secrets are sealed with the master key's primary key. What nodes say in the secrets bucket of the keys that
// they have (keys node.<name>) keeps a node from sealing what another cannot open, see masterkey.go.
//
// Goroutines: one for each bucket's watch, and one that says which keys the node has, from Open until Close. Functions given to Subscribe run
// on them.
package registry
