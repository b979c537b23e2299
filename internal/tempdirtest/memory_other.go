//go:build darwin || freebsd || windows

package tempdirtest

// InMemory does nothing here.
func InMemory() {}
