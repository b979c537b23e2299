//go:build freebsd || windows

package proc

// BootID is unknown, and so "": FreeBSD has but the time of the boot, which
// changes with the wall clock, and Windows does not name its boots.
func BootID() string { return "" }
