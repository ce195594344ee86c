// Package webhook is the door for vendors: it takes webhooks at
//
//	POST /api/webhooks/{vendor}/{integrationId}   in the vendor's own protocol
//	GET  /api/webhooks/{vendor}/{integrationId}   the vendor's check that the address is ours
//	POST /api/webhooks/channel-events             the neutral one, for any sender
//
// in this order, each step with its own error codes (package problem): size; integration known and
// enabled; signature over the raw bytes; budget of verified webhooks an hour; well-formed; decoded by
// the vendor's adapter; known before; cleaned and appended (package ingest); 202.
//
// What is refused before its signature was verified counts against the address it came from, and
// against nothing else: without the secret nobody spends an integration's budget, and a webhook that
// is signed rightly passes, however much rubbish came from the same address.
//
// # Budgets
//
// The budget of an integration is one over all nodes: each counts what it has allowed, and tells the others
// every 50 ms (budgets.go), outside of the log. What two nodes allow at once, before they have heard of each
// other, may go beyond the limit. A node that starts asks what counts; who cannot be reached has no say, and
// accepts nothing either, as it does not reach the log.
//
// # Replays
//
// An event's id is derived from the integration and the vendor's message id, so that the log drops
// what comes twice within ten minutes, whichever channel it would go to. Where a vendor's signatures
// stay good for longer, ids are remembered in the bucket "seen": looked up before, stored after the
// append. A crash between the two is mended by the vendor's retry, which the log still knows.
//
// # Channel events
//
// The body is {channelName, eventType, payload, timestamp, signature}. The sender names its
// integration in the header X-Integration-Id or the query parameter integration. It signs with the
// Standard Webhooks headers, or puts lowercase hex HMAC-SHA256 over
// "{channelName}.{eventType}.{timestamp}.{payload}" into signature: timestamp as in the body (RFC 3339
// or Unix seconds, within five minutes), payload byte for byte as in the body, and for a key the
// decoded bytes of the integration's webhook secret (what follows whsec_, in base64).
//
// An integration publishes only where its vendor webhooks would go too: on channels that its Channel
// template selects, with its owner's values in the places that the owner variables name.
//
// The package starts no goroutine but for timers, which Close ends; the log's connection has two more.
package webhook
