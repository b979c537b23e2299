package replica_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv/replica"
)

func TestAReplicaResumesAfterWhatWasOfOtherTables(t *testing.T) {
	s := serve(t)
	s.fill()
	begin, err := s.table.Seq(t.Context())
	require.NoError(t, err)
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lv/snapshot" {
			s.snapshot(w, r)
			return
		}
		after := r.URL.Query().Get("after")
		asked <- after
		if after == strconv.FormatInt(begin-1, 10) { // is it the same history?
			s.changes(w, r)
			return
		}
		if after != "500" {
			fmt.Fprint(w, "id: 500\n\n") // and away
			return
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	r, err := replica.New(replica.Config{URL: server.URL + "/lv", Table: banners, File: filepath.Join(t.TempDir(), "state")})
	require.NoError(t, err)
	stop := run(t, r)
	require.Equal(t, strconv.FormatInt(begin, 10), <-asked)
	require.Equal(t, "500", <-asked)
	require.Equal(t, strconv.FormatInt(begin-1, 10), <-asked)
	require.EqualValues(t, 500, r.Status().Seq)
	s.requireSame(r)
	stop()
}
