package process

import (
	"net"
	"syscall"

	"github.com/upkeep-go/upkeep/internal/handover"
)

func supported() error { return nil }

// inherited returns the listener that is passed as fd, which the programs that
// this one starts do not get.
func inherited(fd int) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	return handover.Open(fd)
}
