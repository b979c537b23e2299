//go:build unix

package postgres_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// frame is a message of PostgreSQL's protocol as it is on the wire. The first
// one of a client has no kind.
type frame []byte

func readFrame(r io.Reader, first bool) (frame, error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
	f := append(head, make([]byte, size)...)
	_, err := io.ReadFull(r, f[len(head):])
	return f, err
}

func (f frame) isCommit() bool { return bytes.Equal(bytes.ToLower(f[5:]), []byte("commit\x00")) }

// listen returns a socket for clients of what stands before the server, and
// the folder that a URL names.
func listen(t testing.TB, serve func(client net.Conn)) (dir string) {
	dir, err := os.MkdirTemp("/tmp", "upkeep-pg")
	require.NoError(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
		os.RemoveAll(dir)
	})
	return dir
}

// network leads to the server and fails on demand.
type network struct {
	dir string
	// dropRequests and dropReplies swallow what is sent from now on.
	dropRequests, dropReplies atomic.Bool
	// refusals is how many clients are yet to be refused, as PgBouncer does while
	// it cannot reach its server.
	refusals atomic.Int32
	// next holds what is to happen to the next COMMITs.
	next chan commitFault
	over chan struct{} // closed when the test ends

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// commitFault is what happens to a COMMIT.
type commitFault int

const (
	loseRequest commitFault = iota // it does not arrive, and the connection ends
	loseReply                      // it is done, and the connection ends
	freeze                         // it does not arrive, and the server waits for it
)

// newNetwork leads to the server until the test ends.
func newNetwork(t testing.TB, s *server) *network {
	n := &network{
		next: make(chan commitFault, 10), over: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	n.dir = listen(t, func(client net.Conn) { n.serve(client, s.socket()) })
	t.Cleanup(func() { // before that of listen, which waits for the connections
		close(n.over)
		n.cut()
	})
	return n
}

// cut ends every connection.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Close()
	}
}

func (n *network) serve(client net.Conn, socket string) {
	if n.refusals.Add(-1) >= 0 {
		if _, err := readFrame(client, true); err == nil {
			const fields = "SFATAL\x00C08P01\x00Mserver login has been failing, try again later (server_login_retry)\x00\x00"
			client.Write(append([]byte{'E', 0, 0, 0, byte(4 + len(fields))}, fields...))
		}
		return
	}
	upstream, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	n.track(true, client, upstream)
	defer n.track(false, client, upstream)
	var last atomic.Bool // the next reply is lost, and the connection ends
	var replies sync.WaitGroup
	replies.Go(func() {
		defer client.Close()
		buffer := make([]byte, 1<<16)
		for {
			size, err := upstream.Read(buffer)
			if err != nil || last.Load() {
				return
			}
			if !n.dropReplies.Load() {
				client.Write(buffer[:size])
			}
		}
	})
	n.copyRequests(client, upstream, &last)
	client.Close()
	upstream.Close()
	replies.Wait()
}

func (n *network) copyRequests(client, upstream net.Conn, last *atomic.Bool) {
	for first := true; ; first = false {
		f, err := readFrame(client, first)
		if err != nil {
			return
		}
		if !first && f.isCommit() {
			switch n.fault() {
			case loseRequest:
				return
			case loseReply:
				last.Store(true)
			case freeze:
				<-n.over
				return
			}
		}
		if !n.dropRequests.Load() {
			upstream.Write(f)
		}
	}
}

func (n *network) fault() commitFault {
	select {
	case f := <-n.next:
		return f
	default:
		return -1
	}
}

func (n *network) track(open bool, conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		if open {
			n.conns[c] = true
		} else {
			delete(n.conns, c)
		}
	}
}
