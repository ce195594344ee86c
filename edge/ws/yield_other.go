//go:build !linux

package ws

// yield does nothing here.
func yield() {}
