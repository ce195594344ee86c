// Package embedded runs a real ClickHouse as a child process, for laptops, demos and tests.
package embedded
