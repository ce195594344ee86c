// Package delivery holds what carries a delivery to its vendor: the state machines that decide
// when a call may be made, and the one sender that makes it.
//
// Plain values, which take the time as an argument, start nothing and lock nothing; each belongs to
// one actor, which also owns the timers:
//
//	Breaker      stops calling a vendor that fails, and finds out when it is back
//	RetryPolicy  how long a failed delivery waits, and when it has been tried enough
//	Limiter      calls a second; KeyedLimiter the same for each recipient
//	Window       never more than so many within an hour
//	SuccessRate  of the attempts of the last five minutes
//	Lanes        order: one first-in-first-out line a channel, served in turn
//
// Shared by all integrations of a node, and safe for concurrent use:
//
//	Gate         the node's call slots, and a fair share of them for each integration
//	Guard        refuses addresses that no vendor can have (SSRF)
//	Sender       HTTP and SMTP, through the guard
//
// The package starts no goroutine of its own; the HTTP transport inside Sender keeps two for each
// open connection, and Sender.Close ends those of idle connections.
//
// The breaker:
//
//	          Threshold failures in a row
//	closed ────────────────────────────────> open <──────────────┐
//	   ^                                       │ due, and asked   │ the probe fails: twice the
//	   │                                       v                  │ wait, at most MaxOpenFor
//	   └──────── the probe succeeds ──────── half-open ───────────┘
//	                                      (one probe is out)
package delivery
