// Package api is the HTTP API under /api: publishing and history of channels, and the management of
// integrations, mappings, dead letters and API keys, and what the numbers say of deliveries and actions.
//
// It is described by the OpenAPI 3.1 document that it serves at /api/openapi.json. Every answer that
// is not a success is a problem (package problem), whose codes are listed at /api/problems. Lists are
// {"items": [...], "next": cursor}: ask again with after=cursor for the rest; without next there is
// none.
//
// # Keys
//
// Every request, except for those two documents, needs "Authorization: Bearer KEY". Each operation
// says in its Security, where it is registered and as the document shows, which scope a key needs for
// it; one that says nothing cannot be registered. What a key that is bound to an owner does not reach is
// answered as what does not exist (package access). Without any key nothing is let in, unless Insecure
// says so.
//
// # Writing once
//
// A write with an Idempotency-Key is done once: sent again within a day it gets the same answer. The
// answer is stored before it is sent, except for one that shows a secret.
//
// Publishing is on the hot path and is a plain handler; everything else runs through huma, which
// checks input against the document. Every change is audited under the name of its key.
//
// The package starts no goroutine.
package api
