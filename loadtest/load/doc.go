// Package load plays a wedding season against nodes: a population of couples, suppliers and clients, events
// that arrive by a plan whatever the nodes do, vendors that fail by a schedule, and edges that die. It notes
// all that clients were told and vendors and clients got, has the checker hold them against each other, and
// writes one report.
//
//	profile ─┬─> population ─> plan ─> publish ──┐
//	seed ────┘                                    v
//	              crowd <── WebSocket ────── nodes ──> vendors (simulators, faults by the profile)
//	                └──────> truth <─────────┴────────────┘
//	                           └─> checker, ClickHouse ─> report
//
// The plan depends on the profile and the seed alone: the same two give the same events at the same times.
//
// Goroutines: Run starts them all, one for each arrival under way among them, and returns when they have ended.
package load
