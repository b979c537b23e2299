// Package wiretest has a network in memory, for tests whose time is faked: its
// connections are buffered, can be half closed, and know deadlines.
package wiretest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// window is how many bytes wait for a reader, at most.
const window = 64 << 10

// Network is a network of its own. The zero Network is ready.
type Network struct {
	mu        sync.Mutex
	hosts     int
	listeners map[string]*listener
}

// Listen returns a listener with an address of its own.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts++
	l := &listener{
		net: n, address: address(fmt.Sprintf("10.0.%d.%d:80", n.hosts/250, 1+n.hosts%250)),
		conns: make(chan net.Conn), closed: make(chan struct{}),
	}
	if n.listeners == nil {
		n.listeners = make(map[string]*listener)
	}
	n.listeners[l.address.String()] = l
	return l
}

// Serve serves with s until the test ends, and returns its base URL.
func (n *Network) Serve(t testing.TB, s *http.Server) string {
	l := n.Listen()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}

// Dial connects. It refuses where nobody listens.
func (n *Network) Dial(ctx context.Context, _, to string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	there, back := newStream(), newStream()
	select {
	case l.conns <- &conn{in: there, out: back, local: l.address, remote: "10.9.9.9:1"}:
		return &conn{in: back, out: there, local: "10.9.9.9:1", remote: l.address}, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport is one that dials here. Its connections end with the test.
func (n *Network) Transport(t testing.TB) *http.Transport {
	transport := &http.Transport{DialContext: n.Dial, DisableCompression: true, MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

type listener struct {
	net     *Network
	address address
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.address.String())
		l.net.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }

// conn is one end of a connection.
type conn struct {
	in, out       *stream
	local, remote address
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

// CloseWrite lets the other end read what was written, and then its end.
func (c *conn) CloseWrite() error {
	c.out.change(func(s *stream) { s.ended = true })
	return nil
}

// Close ends reading first: who sees that this end is closed may answer, and
// nothing of that is read.
func (c *conn) Close() error {
	c.in.change(func(s *stream) { s.broken = true })
	c.out.change(func(s *stream) { s.ended, s.left = true, true })
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.change(func(s *stream) { s.reading.set(s, t) })
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.change(func(s *stream) { s.writing.set(s, t) })
	return nil
}

// stream is one direction of a connection.
type stream struct {
	mu               sync.Mutex
	changed          sync.Cond
	data             []byte
	ended            bool // nothing more is written
	left             bool // by the end that writes
	broken           bool // by the end that reads
	reading, writing deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func newStream() *stream {
	s := new(stream)
	s.changed.L = &s.mu
	return s
}

func (s *stream) change(f func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	s.changed.Broadcast()
}

// set is called under the lock, by what wakes those who wait. A time that is
// past, such as that by which a server ends a read, has no timer: where time is
// fake one would run at once beside the others, which the race detector of Go
// 1.26 does not survive (golang.org/issue/78156).
func (d *deadline) set(s *stream, t time.Time) {
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { s.change(func(*stream) {}) })
	}
}

func (d *deadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case s.reading.over():
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.left, s.ended:
			return n, net.ErrClosed
		case s.broken:
			return n, syscall.EPIPE
		case s.writing.over():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := min(window-len(s.data), len(p)); room > 0 {
			s.data = append(s.data, p[:room]...)
			p, n = p[room:], n+room
			s.changed.Broadcast()
			continue
		}
		s.changed.Wait()
	}
}
