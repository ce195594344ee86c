// Package alerts tells people that an error budget burns, and that it does not any more, each once.
//
// An Evaluator looks at the burn of each vendor's objectives now and then. An alert is of one vendor and one
// objective:
//
//	         both windows of a pair at its threshold,
//	         and enough failures to matter
//	quiet ───────────────────────────────────────────> burning ──┐ a worse severity:
//	  ^                                                 │    ^───┘ told again
//	  └──────────── no pair for ResolveAfter ───────────┘
//
// What is told is an event on the channel slo:burn:{vendor}, like any other: mappings say who gets it, by Slack,
// e-mail or WhatsApp, and it is delivered by the same actors.
//
// # Once
//
// The state of all alerts is one value of the log, changed by comparison: of two nodes that both think it is
// theirs to evaluate, one fails and looks again. What is to be told is written there with the change
// that it tells of, then published, then taken out. A crash in between has it published again, under the same id,
// by which log and vendors know it.
//
// The package starts no goroutines: Evaluator.Run works in its caller's.
package alerts
