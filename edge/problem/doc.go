// Package problem is how the HTTP server says no: one table of error codes with their statuses and
// titles, and one writer that answers with an RFC 9457 body.
//
// A code is part of the API: it is never renamed and never given another meaning. The table is
// served at /api/problems, and each body's type points into it.
//
// The package starts no goroutine and holds no state.
package problem
