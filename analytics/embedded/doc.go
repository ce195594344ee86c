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
//	     └─ native protocol, with the directory's own password
//
// clickhouse-local serves no port by itself. It is given two statements, one that starts the
// listener and one that never ends; Stop cancels the second and the engine shuts down in order.
//
// An engine that ends unasked is started again on its port. It must be: in clickhouse-local, a client
// with a wrong password ends the process (26.7 has no handler for what the connection throws). Its
// tables are on disk before an insert is answered, so nothing is lost by that.
//
// The child never outlives its parent: the kernel kills it when the thread that started it ends
// (PR_SET_PDEATHSIG), and the library's process also watches its standard input. A lock file that
// the child inherits keeps a second engine off the directory until the first has really gone.
//
// Start runs a goroutine that supervises the engine until Done is closed, and one for each child, bound
// to the thread that started it, which ends with the child.
package embedded
