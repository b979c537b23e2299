package firmware_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// roles are what this program does instead of testing when it is started as a
// child: a process of its own.
var roles = map[string]func(args []string) error{"serve": serve}

const roleEnv = "UPKEEP_FIRMWARE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// child is this program in a role.
func child(role string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), roleEnv+"="+role)
	c.Stderr = os.Stderr
	return c
}

// serve serves a folder until its input ends.
func serve(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { _ = http.Serve(l, http.FileServer(http.Dir(args[0]))) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// serveFolder starts a child that serves a folder, and returns its address.
func serveFolder(t testing.TB, dir string) string {
	t.Helper()
	cmd := child("serve", dir)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(address)
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
