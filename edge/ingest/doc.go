// Package ingest is the one door through which events enter the log, whoever sends them: WebSocket
// clients, the HTTP API, vendors' webhooks. It checks and bounds a draft, takes everything out of
// its payload that is not plain data (markup, control characters, bidirectional controls), fills in
// what the sender left out, and appends it.
//
// It starts no goroutine.
package ingest
