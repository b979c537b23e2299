package httpadapter_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// shopServer is a server on a file, that can be stopped and started.
type shopServer struct {
	t    *testing.T
	path string
	http *httptest.Server
	now  atomic.Pointer[httpadapter.Adapter]
	db   *sqlite.DB
	rows *lv.Service
}

func newShopServer(t *testing.T) *shopServer {
	s := &shopServer{t: t, path: filepath.Join(t.TempDir(), "state.db")}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := s.now.Load(); a != nil {
			a.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() { s.stop(); s.http.Close() })
	s.start()
	return s
}

func (s *shopServer) start() {
	var err error
	s.db, err = sqlite.Open(sqlite.Config{Path: s.path})
	require.NoError(s.t, err)
	s.rows, err = lv.New(lv.Config{Store: s.db, Logger: quiet})
	require.NoError(s.t, err)
	a, err := httpadapter.New(httpadapter.Config{LV: s.rows, Auth: httpadapter.Secrets{reader: {ID: "rob", Role: httpadapter.Reader}}})
	require.NoError(s.t, err)
	s.now.Store(a)
}

func (s *shopServer) stop() {
	s.now.Store(nil)
	s.http.CloseClientConnections()
	require.NoError(s.t, s.rows.Close())
	require.NoError(s.t, s.db.Close())
}

func (s *shopServer) save(table, row, content string) {
	s.t.Helper()
	_, err := s.rows.Table("app", table).Save(s.t.Context(), row, json.RawMessage(`"`+content+`"`), lv.By{Actor: "ada"})
	require.NoError(s.t, err)
}

func (s *shopServer) publish(table, row string) {
	s.t.Helper()
	_, err := s.rows.Table("app", table).Publish(s.t.Context(), lv.Production, lv.By{Actor: "ada"}, row)
	require.NoError(s.t, err)
}

// replica runs a replica of banners until stop.
func (s *shopServer) replica(file string) (r *replica.Replica, stop func()) {
	s.t.Helper()
	r, err := replica.New(replica.Config{
		Logger: quiet, URL: s.http.URL + "/upkeep/v1/lv", Table: lv.TableID{App: "app", Schema: "banners"}, File: file,
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) },
	})
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	s.t.Cleanup(stop)
	return r, stop
}

func (s *shopServer) requireShows(r *replica.Replica, row, content string) {
	s.t.Helper()
	require.EventuallyWithT(s.t, func(c *assert.CollectT) {
		got, err := r.Table().Get(s.t.Context(), row, lv.View{})
		require.NoError(c, err)
		require.Equal(c, `"`+content+`"`, string(got.Content))
	}, 20*time.Second, 5*time.Millisecond)
}

// forgetHistory makes the file of a replica one of a library that knew of no
// histories.
func forgetHistory(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(data[:strings.LastIndex(strings.TrimSuffix(string(data), "\n"), "\n")])
	older := regexp.MustCompile(`,"history":"[^"]*"\s*`).ReplaceAllString(text, "")
	require.Less(t, len(older), len(text))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "%s\n%x\n", older, sha256.Sum256([]byte(older))), 0o600))
}

func TestAReplicaFollowsAServerThroughARestore(t *testing.T) {
	t.Parallel()
	for _, drafts := range []string{"banners", "others"} {
		for _, file := range []string{"runs on", "restarts", "restarts with a file of an older library"} {
			t.Run(drafts+", "+file, func(t *testing.T) {
				t.Parallel() // they wait, for disks and for a second that a replica waits
				followThroughARestore(t, drafts, file)
			})
		}
	}
}

// followThroughARestore has drafts saved in one table before the restore and
// after it, and does with the replica's file what its name says.
func followThroughARestore(t *testing.T, drafts, file string) {
	s := newShopServer(t)
	state := filepath.Join(t.TempDir(), "state")
	s.save("banners", "top", "spring")
	s.publish("banners", "top")
	r, stop := s.replica(state)
	s.requireShows(r, "top", "spring")
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, s.db.Backup(t.Context(), backup))
	for n := range 3 {
		s.save(drafts, "draft", fmt.Sprint("draft", n))
	}
	s.save("banners", "draft", "seen by the replica")
	require.Eventually(t, func() bool { return r.Status().Seq == 6 }, 20*time.Second, time.Millisecond)
	if file != "runs on" {
		stop()
	}
	s.stop()
	if file == "restarts with a file of an older library" {
		forgetHistory(t, state)
	}
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: s.path}))
	s.start()
	s.save("banners", "top", "summer")
	s.publish("banners", "top")
	s.save(drafts, "draft", "another")
	if file != "runs on" {
		r, stop = s.replica(state)
	}
	s.requireShows(r, "top", "summer")
	s.save("banners", "next", "autumn")
	s.publish("banners", "next")
	s.requireShows(r, "next", "autumn")
	stop()
	text, err := os.ReadFile(state)
	require.NoError(t, err)
	require.Contains(t, string(text), "summer")
}

func TestTheFeedNamesTheHistory(t *testing.T) {
	s := newShopServer(t)
	s.save("banners", "top", "spring")
	name := func() string {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.http.URL+"/upkeep/v1/lv/changes?appid=app&schemaid=banners", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+reader)
		reply, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer reply.Body.Close()
		return reply.Header.Get("Upkeep-History")
	}
	first := name()
	require.NotEmpty(t, first)
	s.stop()
	s.start()
	require.Equal(t, first, name())
	require.NoError(t, s.db.Backup(t.Context(), s.path+".backup"))
	s.stop()
	require.NoError(t, sqlite.Restore(t.Context(), s.path+".backup", sqlite.Config{Path: s.path}))
	s.start()
	require.NotEqual(t, first, name())
}
