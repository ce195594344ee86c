// Package event is the model that every other package shares: channels and patterns, events,
// integrations, mappings, deliveries, attempts and what is recorded of them.
//
// It imports the standard library only, starts no goroutine and holds no state. Values are plain
// data; those that travel through the log carry a version V, so that nodes of neighbouring releases
// can read each other's records.
package event
