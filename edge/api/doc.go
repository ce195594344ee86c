// Package api is the HTTP API under /api: publishing and history of channels, and the management of
// integrations, mappings, dead letters and what the numbers say.
//
// It is described by the OpenAPI 3.1 document that it serves at /api/openapi.json. Every answer that
// is not a success is a problem (package problem), whose codes are listed at /api/problems. Lists are
// {"items": [...], "next": cursor}: ask again with after=cursor for the rest; without next there is
// none.
//
// # Keys
//
// Every request, except for those two documents, needs "Authorization: Bearer KEY" with one of the
// configured keys. They are compared as hashes in constant time. Without any key configured nothing is
// let in, unless Insecure says so.
//
// Publishing is on the hot path and is a plain handler; everything else runs through huma, which
// checks input against the document. Every change is audited under the name of its key.
//
// The package starts no goroutine.
package api
