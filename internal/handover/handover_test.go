//go:build unix

package handover_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/internal/handover"
)

// TestMain makes this test a program that the tests can run: called as "child",
// it greets one client of the listener that it was handed.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		l, err := handover.Open(3) // the first of ExtraFiles
		if err != nil {
			panic(err)
		}
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte("hello"))
		conn.Close()
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the child ends when it is done
	os.Exit(m.Run())
}

func TestAChildServesAListenerThatItsParentKeeps(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		t.Run(network, func(t *testing.T) {
			l, err := net.Listen(network, address)
			require.NoError(t, err)
			defer l.Close()
			f, err := handover.Duplicate(l)
			require.NoError(t, err)
			cmd := exec.Command(os.Args[0], "child")
			cmd.ExtraFiles, cmd.Stderr = []*os.File{f}, os.Stderr
			require.NoError(t, cmd.Start())
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			require.NoError(t, err)
			require.NotZero(t, flags&unix.O_NONBLOCK, "of the socket, and so of the listener")
			require.NoError(t, f.Close())

			client, err := net.Dial(network, l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Equal(t, "hello", string(said))
			require.NoError(t, cmd.Wait())

			require.NoError(t, l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(time.Millisecond)))
			_, err = l.Accept()
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the parent's own can still be waited for")
			require.NoError(t, l.Close())
			_, err = handover.Duplicate(l)
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestWhatIsNoListenerIsNotHandedOver(t *testing.T) {
	_, err := handover.Duplicate(struct{ net.Listener }{})
	require.ErrorContains(t, err, "cannot be handed over")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	defer r.Close()
	_, err = handover.Open(int(r.Fd()))
	require.Error(t, err)
	_, err = handover.Open(1 << 20)
	require.ErrorIs(t, err, unix.EBADF)
}
