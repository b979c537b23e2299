package process

import (
	"cmp"
	"net"
	"os"
	"strconv"
)

// Listener is for a program that a Deployer starts: it returns the listener that
// is passed to it, or else one on the port in PORT, of this machine alone, with
// 8080 for none.
func Listener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err == nil && n > 0 {
			return inherited(3)
		}
	}
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("PORT"), "8080")))
}
