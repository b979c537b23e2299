package proc

import "golang.org/x/sys/unix"

// BootID names the boot of the machine.
func BootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
