package httpadapter_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// longList is a GET of 1 MB of production.
func longList(t *testing.T, s *site) *http.Request {
	table, by := s.rows.Table("app", "table"), lv.By{Actor: "setup"}
	_, err := table.Save(t.Context(), "long", []byte(`{"text":"`+strings.Repeat("x", 1<<20)+`"}`), by)
	require.NoError(t, err)
	_, err = table.Publish(t.Context(), lv.Production, by, "long")
	require.NoError(t, err)
	request, err := http.NewRequest("GET", "http://site/lv/prod?appid=app&schemaid=table&authid=kit&authkey="+appKey, nil)
	require.NoError(t, err)
	return request
}

func TestSlowReaderGetsAllOfALongList(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		response, err := client.Do(longList(t, s))
		require.NoError(t, err)
		read := int64(0)
		for err == nil {
			time.Sleep(25 * time.Second) // as it may look when buffers of megabytes are in between
			var n int64
			n, err = io.CopyN(io.Discard, response.Body, 64<<10)
			read += n
		}
		require.Equal(t, io.EOF, err, "which says that it is whole")
		require.Greater(t, read, int64(1<<20))
	})
}

func TestReaderOfALongListThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		l := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: s.mux} // whose owner gives clients all the time
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		conn, err := l.dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, longList(t, s).Write(conn))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Less(t, len(text), 1<<20)
	})
}
