// Package ws serves browsers and phones over WebSocket, in Centrifuge's client protocol (JSON or protobuf), so
// that the unmodified centrifuge SDKs connect, subscribe, publish, read history and recover what
// they missed; and those that can only listen by server-sent events or a stream of JSON. docs/edge.md tells them how.
//
// # What it owns
//
// Server is the http.Handler of Path, and mounts PathSSE and PathStream. It owns the connections it accepted, a hub that holds one live
// subscription on the log for each channel that somebody here listens to, and nothing durable: a
// position is a sequence of the log and an epoch is the log's identity, so a client recovers at any
// node.
//
// # One connection
//
//	accepted ──connect──> connected ──refresh──> connected
//	   │  │                   │  │
//	   │  └─connect refused   │  └─no pong, slow, expired, bad request, shutdown
//	   │        │             │                    │
//	   v        v             v                    v
//	 closing: what waits is written, then a close frame (codes.go), then 1 s for the peer's
//
// # One channel
//
// A feed is opened for the first subscriber and closed after the last. It follows the log's live
// subjects in order; where an entry's Prev says that something is missing it holds what comes, reads
// the gap from the log, and goes on. A subscriber that recovers is added first, its live entries are
// kept, its history is read, and both are joined by sequence: nothing is lost, repeated or reordered.
// A subscription to a pattern follows many channels and has no position: it is neither mended nor
// recovered.
//
// Who is on a channel is what its feeds have at the nodes: they are asked when a client asks, and tell each
// other who comes and goes. A node that dies takes its clients along without a word: they are on no channel any
// more, and nobody is told that they left.
//
// # Sending
//
// A publication is encoded once for a channel and protocol; clients' queues share its bytes. What comes on a channel
// while its feed fans out is fanned out together afterwards, and all frames that wait for a client are joined into one
// WebSocket message and one write: the more there is to do, the less each publication costs. A queue that outgrows its limit
// costs its client the connection (CloseSlow); the SDK returns and recovers.
//
// # Goroutines
//
// One a connection reads it and runs its commands in order, or waits for the end of a stream. As many as there are
// processors write to all of them, while there is something to be written; a client that has no room for it, and each
// that only listens, has one of its own until it is written, and so has a close frame. One at a time fetches the keys of tokens. A feed has none of its own, except one
// while it fans out, one while it mends a gap, and one while clients wait for what they missed, which is read for all of them together; one
// for all feeds looks
// every 2 s, and when the connection to the log is back, for entries that got lost with none after them to
// show it; it costs one request as long as nothing was appended. Timers ping, and end what is
// silent or expired. Shutdown ends all of them and waits.
package ws
