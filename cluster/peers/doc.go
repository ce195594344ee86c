// Package peers carries requests between the nodes of a cluster, over protoactor's remote with mutual TLS. It
// knows neither who the nodes are nor what they ask each other.
//
// A request is answered by the handler of its kind on the node that was asked, within the deadline of whoever
// asks. It may be repeated, so that it must be idempotent. Nodes of different releases understand each other:
// unknown fields are ignored, and an unknown kind is answered with ErrUnsupported.
//
// Goroutines: those of protoactor and gRPC, and one for each request that is handled, bounded by
// Config.MaxHandled. Close ends and waits for them.
package peers
