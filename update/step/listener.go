package step

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// silence is how long a connection may be open without a byte from its client
// until nobody waits for it.
const silence = 500 * time.Millisecond

// listener is a listener of this process. It knows what it has accepted.
type listener struct {
	net.Listener
	network, address string // as Listen was called

	closed chan struct{} // by Close
	once   sync.Once     // of Close

	mu        sync.Mutex
	stopped   bool // it accepts no more, which its server need not know yet
	accepting int  // calls of Accept that may return a connection
	open      map[*accepted]struct{}
}

func newListener(network, address string, l net.Listener) *listener {
	return &listener{
		Listener: l, network: network, address: address, closed: make(chan struct{}), open: map[*accepted]struct{}{},
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.accepting++
	l.mu.Unlock()
	conn, err := l.Listener.Accept()
	l.mu.Lock()
	l.accepting--
	stopped := l.stopped
	if err == nil {
		conn = l.track(conn)
	}
	l.mu.Unlock()
	if err != nil && stopped {
		<-l.closed
	}
	return conn, err
}

// track returns a connection of a kind that Listen gives, as one that is known
// until it is closed. It has all methods that it had: servers look for some.
func (l *listener) track(conn net.Conn) net.Conn {
	a := &accepted{at: time.Now()}
	if c, ok := conn.(syscall.Conn); ok {
		a.raw, _ = c.SyscallConn()
	}
	a.forget = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, a)
	}
	switch c := conn.(type) {
	case *net.TCPConn:
		conn = &tcpConn{c, a}
	case *net.UnixConn:
		conn = &unixConn{c, a}
	default:
		return conn
	}
	l.open[a] = struct{}{}
	return conn
}

// stop closes the socket. Calls of Accept wait for Close.
func (l *listener) stop() error {
	l.mu.Lock()
	stopped := l.stopped
	l.stopped = true
	l.mu.Unlock()
	if stopped {
		return nil
	}
	return l.Listener.Close()
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closed)
		err = l.stop()
	})
	return err
}

// quiet reports that nothing of what a stopped listener has accepted is open,
// but for connections on which nobody has said anything.
func (l *listener) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.open {
		if a.spoke.Load() || time.Since(a.at) < silence || unread(a.raw) {
			return false
		}
	}
	return l.accepting == 0
}

// Shutdown returns what Restart is to do with a server of p's listeners: every
// request whose client has begun to send it is answered, and then s is closed.
// http.Server.Shutdown would drop what it has just read. Answers that do not
// end by themselves, such as streams of events, are to be ended before.
func (p *Program) Shutdown(s *http.Server) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		s.SetKeepAlivesEnabled(false) // each connection ends with its next answer
		for !p.quiet() {
			if err := pause.For(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return s.Close()
	}
}

// accepted is a connection.
type accepted struct {
	at     time.Time
	raw    syscall.RawConn // or nil
	spoke  atomic.Bool     // something was read
	forget func()
}

type tcpConn struct {
	*net.TCPConn
	*accepted
}

// Read implements net.Conn.
func (c *tcpConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.spoke.Store(true)
	return n, err
}

// Close implements net.Conn.
func (c *tcpConn) Close() error {
	defer c.forget()
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	*accepted
}

// Read implements net.Conn.
func (c *unixConn) Read(p []byte) (int, error) {
	n, err := c.UnixConn.Read(p)
	c.spoke.Store(true)
	return n, err
}

// Close implements net.Conn.
func (c *unixConn) Close() error {
	defer c.forget()
	return c.UnixConn.Close()
}
