package slot

import "syscall"

// reboot is the system call. It is not called in tests.
var reboot = func() error {
	syscall.Sync()
	return syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}
