package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// oneConnection is a listener with one connection.
type oneConnection struct{ conns chan net.Conn }

func (l oneConnection) Accept() (net.Conn, error) {
	c, open := <-l.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l oneConnection) Close() error { return nil }
func (oneConnection) Addr() net.Addr { return &net.TCPAddr{} }

func TestAConnectionWhoseBodyDoesNotComeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(http.NotFoundHandler())
		l := oneConnection{make(chan net.Conn, 1)}
		ours, theirs := net.Pipe()
		l.conns <- theirs
		go func() { _ = server.Serve(l) }()
		begun := time.Now()
		_, err := io.WriteString(ours, "POST /site/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, ours.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = io.ReadAll(ours)
		require.NoError(t, err, "the server has closed it")
		require.Less(t, time.Since(begun), time.Minute)
		close(l.conns)
	})
}

func TestTheSiteTellsAStrangerNothingOfItsFiles(t *testing.T) {
	rows, err := lv.New(lv.Config{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer rows.Close()
	var log strings.Builder
	dir := t.TempDir()
	s, err := openSite(t.Context(), dir, rows.Table("demo", "site"), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	defer s.Close()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	sick := get("/site/healthz")
	require.Equal(t, http.StatusInternalServerError, sick.Code)
	require.NotContains(t, sick.Body.String(), "public")
	require.Contains(t, log.String(), "public")

	log.Reset()
	require.NoError(t, os.Mkdir(s.public(), 0o700))
	for _, path := range []string{"/site/VERSION%00.html", "/site/%00", "/site/index.html%00.html"} {
		require.Equal(t, http.StatusNotFound, get(path).Code, path)
	}
	require.Empty(t, log.String())
}
