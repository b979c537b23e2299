// Package fetchtest has servers for tests of who fetches from them.
package fetchtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// pipes is a network in memory, for tests whose time is faked: a listener, and
// what dials it.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Serve returns a client of a server with every name, http and https, that
// answers as h does.
func Serve(t testing.TB, h http.HandlerFunc) *http.Client {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(p) }()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Shutdown(context.Background()); err != nil { // waits for the handlers
			t.Error(err)
		}
		<-done
	})
	return &http.Client{Transport: transport}
}

// Cut ends the connection of a handler.
func Cut() { panic(http.ErrAbortHandler) }

// Offer answers with content and, if there is one, this ETag. It knows ranges.
func Offer(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}
