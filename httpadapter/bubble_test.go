package httpadapter_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inBubble serves the site by a real server whose WriteTimeout is 5 seconds,
// over connections in memory, with a clock that jumps. Goroutines that outlive
// the test fail it.
func inBubble(t *testing.T, s *site, test func(t *testing.T, s *site, client *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		l, protocols := s.open(t).listen(t)
		transport := &http.Transport{DialContext: l.dial, Protocols: protocols}
		defer transport.CloseIdleConnections()
		test(t, s, &http.Client{Transport: transport})
	})
}

// listen serves the site until the test ends, in whose bubble it is called.
func (s *site) listen(t *testing.T) (*pipeListener, *http.Protocols) {
	l := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!s.http2)
	protocols.SetUnencryptedHTTP2(s.http2)
	server := &http.Server{Handler: s.mux, WriteTimeout: 5 * time.Second, Protocols: protocols}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams())
	})
	return l, protocols
}

// pipeListener accepts what dial makes. Nothing is buffered between the two
// ends: a client that does not read blocks the server at once.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.connections <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "site"} }
