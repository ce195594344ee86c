// Package edge is the node's one HTTP server: it listens, numbers requests, guards them against
// panics and against clients that are too slow or too many, measures them, and answers /healthz,
// /readyz, /metrics and whatever is not there. What else there is, is mounted into it: the HTTP API,
// the webhooks, the WebSocket endpoint.
//
//	                  ┌ /healthz /readyz /metrics
//	listener ─ serve ─┼ /api/…                  edge/api, edge/webhook
//	 (limit)  (guard) └ /connection/websocket   edge/ws
//
// Start begins one goroutine that accepts, beside net/http's own one for each connection; Shutdown
// ends all of them, except for connections that a handler has taken over (WebSockets), which are
// their handler's to close.
package edge
