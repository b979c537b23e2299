package firmware_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/upkeep-go/upkeep/internal/proctest"
)

// roles are what this program does as a child.
var roles = proctest.Roles{"serve": serve}

func TestMain(m *testing.M) { roles.Main(m) }

// serve serves a folder until its input ends.
func serve(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { _ = http.Serve(l, http.FileServer(http.Dir(args[0]))) }()
	return proctest.Forever()
}

// serveFolder starts a child that serves a folder, and returns its address.
func serveFolder(t testing.TB, dir string) string {
	t.Helper()
	c := roles.Start(t, "serve", dir)
	t.Cleanup(func() { c.End() })
	return c.Line()
}

// lines are what a compiler might have made: 64 bytes each, of which some have an
// address in them.
func lines(seed byte, n int) []byte {
	all := noise(seed, 64*n)
	for i := range all {
		if i%64 < 8 || i%64 >= 12 {
			all[i] &= 7
		}
	}
	return all
}
