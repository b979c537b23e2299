package replica_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

// An address leads to one server, and then to another.
type address struct {
	http *httptest.Server
	now  atomic.Pointer[server]
}

func (a *address) lead(s *server) {
	a.now.Store(s)
	a.http.CloseClientConnections()
}

func addressOf(t *testing.T, s *server) *address {
	a := &address{}
	a.now.Store(s)
	a.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.now.Load().http.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(a.http.Close)
	return a
}

func (a *address) follower(t *testing.T, file string) *replica.Replica {
	r, err := replica.New(replica.Config{
		Logger: quiet, URL: a.http.URL + "/lv", Table: banners, File: file, SaveEvery: 10 * time.Millisecond,
		Authorize: func(r *http.Request) { r.Header.Set("X-Key", "secret") },
	})
	require.NoError(t, err)
	return r
}

func TestAReplicaNoticesThatTheServerHasAnotherHistory(t *testing.T) {
	t.Parallel()
	for name, releases := range map[string]int{"one that is behind": 0, "one that is ahead": 8} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarts: %t", name, restarts), func(t *testing.T) {
				t.Parallel()
				s := serve(t)
				s.fill()
				a := addressOf(t, s)
				file := filepath.Join(t.TempDir(), "state")
				r := a.follower(t, file)
				stop := run(t, r)
				s.requireSame(r)
				require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond,
					"what was just read is believed to go on where the feed does, if the server names no history")
				before := r.Status().Seq

				filled := time.Now()
				require.Eventually(t, func() bool { return time.Since(filled) > 2*time.Millisecond }, hangs, time.Millisecond,
					"times have milliseconds")
				other := serve(t)
				other.save("other", "1")
				other.publish(lv.Production, "other")
				for n := range releases {
					row := fmt.Sprint("row", n)
					other.save(row, "1")
					other.publish(lv.Production, row)
				}
				if restarts {
					stop()
					r = a.follower(t, file)
				}
				a.lead(other)
				if restarts {
					run(t, r)
				}
				other.requireSame(r)
				require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond)
				require.Equal(t, releases > 0, r.Status().Seq > before)
			})
		}
	}
}

func TestAReplicaOfATableThatWasEmptyReadsItAnew(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for n := range 5 {
		edit := lv.Edit{Op: lv.OpSave, Row: fmt.Sprint("row", n), Content: []byte(`{}`)}
		_, err := s.store.Write(t.Context(), lv.TableID{App: "app", Schema: "another"}, []lv.Edit{edit}, by)
		require.NoError(t, err)
	}
	a := addressOf(t, s)
	r := a.follower(t, filepath.Join(t.TempDir(), "state"))
	run(t, r)
	require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond)
	other := serve(t)
	other.fill()
	a.lead(other)
	other.requireSame(r)
}
