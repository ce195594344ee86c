// Package audit carries audit records from where something is decided to the record log, so that
// neither a webhook nor an admin waits for it. The queue between is bounded; what finds it full is
// counted and logged, never lost in silence.
//
// New starts a few goroutines that write; Close ends and waits for them.
package audit
