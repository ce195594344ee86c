// Package wsclient is a Go client of the Centrifuge client protocol in JSON, as edge/ws speaks it: it
// connects, subscribes, publishes, reads history, and after a broken connection comes back, subscribes
// again and recovers what it missed. The demo, `wedsync tail`, the load generator and the tests use it.
//
// A Client starts one goroutine that keeps it connected; while it is connected that goroutine reads,
// and calls the handlers of subscriptions in the order of what arrived. Close ends it and waits.
//
//	          ┌── broken, or a close code that allows it; after a pause ──┐
//	          v                                                           │
//	Dial ─> connecting ──> connected (subscribes again, recovers) ────────┘
//	          │                │
//	          └── refused ─────┴── Close, or a close code that forbids to return ──> closed
package wsclient
