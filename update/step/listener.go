package step

import (
	"net"
	"sync"
	"sync/atomic"
)

// listener is a listener of this process. It knows whether anything that it
// has accepted is still open: a server that is shut down does not know of the
// connection that it is just being given.
type listener struct {
	net.Listener
	network, address string // as Listen was called

	busy   atomic.Int64 // calls of Accept, and connections that are open
	closed atomic.Bool
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.busy.Add(1)
	done := sync.OnceFunc(func() { l.busy.Add(-1) })
	conn, err := l.Listener.Accept()
	switch conn := conn.(type) {
	case *net.TCPConn:
		return &tcpConn{conn, done}, nil
	case *net.UnixConn:
		return &unixConn{conn, done}, nil
	}
	done()
	return conn, err
}

// Close implements net.Listener.
func (l *listener) Close() error {
	defer l.closed.Store(true)
	return l.Listener.Close()
}

// quiet reports that the listener is open, or that nothing is left of what it
// accepted.
func (l *listener) quiet() bool { return !l.closed.Load() || l.busy.Load() == 0 }

// tcpConn has all methods of its connection: servers look for some.
type tcpConn struct {
	*net.TCPConn
	done func()
}

// Close implements net.Conn.
func (c *tcpConn) Close() error {
	defer c.done()
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	done func()
}

// Close implements net.Conn.
func (c *unixConn) Close() error {
	defer c.done()
	return c.UnixConn.Close()
}
