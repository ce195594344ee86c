// Package demo plays the three wedding scenes against a running node: the couple and the other
// viewers are real WebSocket clients (the couple uses the JavaScript SDK where node is installed),
// the vendors are the simulators of package vendors, and everything goes in and out by the node's
// public addresses. It tells each step as it happens and counts what arrived, not what was sent.
//
// It starts one child process, the couple's, and the goroutines of its clients; all end with Run.
package demo
