// Package embedded runs a real ClickHouse as a child process, for laptops, demos and tests.
//
// The engine is a clickhouse binary where the PATH has one that can do it, else libchdb.so, the same
// engine as a shared library. The library cannot be loaded into this process for good: its allocator,
// its threads and its crashes would be ours. So Start executes this program once more with an
// environment variable set, and MaybeRunChild, called first thing in main, turns that process into
// the engine:
//
//	this process ──exec──> child: clickhouse-local, listening on 127.0.0.1
//	     │  stdin: its end tells the child to end
//	     │  stderr: lines go to the logger
//	     └─ native protocol, through the gate, with the directory's own password
//
// clickhouse-local serves no port by itself. It is given two statements, one that starts the
// listener and one that never ends; Stop cancels the second and the engine shuts down in order.
//
// # The gate
//
// Clients do not connect to the engine but to a port of ours, the gate, which passes their bytes on.
// clickhouse-local 26.7 has no handler for what a connection throws outside of a query, so a wrong
// password, an unknown database, a stranger's bytes, or a client that was killed (its connection is
// reset) end the whole process. The gate reads the hello and answers the first three itself; and
// however a client ends, the engine sees an orderly end. The gate also keeps the DSN the same when
// the engine is started again, as it is when it ends unasked. Nothing is lost by that: its tables are
// on disk before an insert is answered.
//
// The child never outlives its parent: the kernel kills it when the thread that started it ends
// (PR_SET_PDEATHSIG), and the library's process also watches its standard input. A lock file that
// the child inherits keeps a second engine off the directory until the first has really gone.
//
// # Goroutines
//
// Start runs one that supervises the engine until Done is closed; one for each child, bound to the
// thread that started it, which ends with the child; and for the gate one that accepts and two for
// each client, which have ended when Done is closed.
package embedded
