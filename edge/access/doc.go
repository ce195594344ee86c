// Package access says who calls and what they may do: API keys, their scopes, and the owner that a
// key may be bound to.
//
// # Keys
//
// A key reads wsk_<id>_<secret>. Its text is shown once, when it is made; the log's "config" bucket
// (key.<id>) has its SHA-256 alone. Every node watches these records and keeps them in memory, so a
// key made or revoked on one node is so on all within a moment, and finding whose a key is costs one
// hash and one look into a map. Configured keys, such as the administrator's, are not stored and have
// every scope. While the log cannot be reached, what was known last stays in force, and nothing can be
// made or revoked.
//
// When a key was last used is noted beside it (key.<id>.used), by the node that was asked, at most once a
// minute and behind the request.
//
// # Owners
//
// A key that is bound to owner variables, such as supplierId=42, reaches only what is that owner's:
//
//   - integrations whose owner variables have all of the key's, with the same values, and what
//     belongs to these: deliveries, dead letters;
//   - audit records of what was done to what was that owner's at the time, by whomever, and of what that
//     owner's keys did;
//   - channels that one of the key's channel patterns selects, in which {supplierId} stands for 42.
//     A bound key without patterns reaches no channel;
//   - mappings whose pattern is covered by one of the key's, and whose targets are all integrations
//     of that owner.
//
// A key cannot make one that reaches further than itself.
//
// # Sessions
//
// Who shows a key at the admin page gets a session: a random token, of which the log has a hash, with what proves
// the key. Each node follows these records too, so any of them knows a session at once, and forgets it when it is
// ended. A session lasts for twelve hours and never longer than its key: that is looked up with each request.
//
// Goroutines: one follows the keys' bucket, one notes uses, and one follows the sessions' bucket, each from Open or
// OpenSessions until Close.
package access
