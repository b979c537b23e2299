package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// server is the server's side.
type server struct {
	t     *testing.T
	table *lv.Table
	store lv.VersionStore
	http  *httptest.Server

	away      atomic.Bool // answers with 503
	snapshots atomic.Int32
	feeds     atomic.Int32
}

func serve(t *testing.T) *server {
	db := memory.Open(memory.Config{Retention: storage.Retention{Events: 20}})
	service, err := lv.New(lv.Config{Store: db, Logger: quiet})
	require.NoError(t, err)
	s := &server{t: t, table: service.Table(banners.App, banners.Schema), store: db.Versions()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lv/snapshot", s.snapshot)
	mux.HandleFunc("GET /lv/changes", s.changes)
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() || r.URL.Query().Get("appid") != "app" || r.URL.Query().Get("schemaid") != "banners" || r.Header.Get("X-Key") != "secret" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.http.Close)
	return s
}

func (s *server) snapshot(w http.ResponseWriter, r *http.Request) {
	s.snapshots.Add(1)
	snapshot, err := s.table.Snapshot(r.Context())
	if err == nil {
		err = wire.WriteSnapshot(w, banners, snapshot)
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *server) changes(w http.ResponseWriter, r *http.Request) {
	s.feeds.Add(1)
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		s.t.Error(err)
		return
	}
	fmt.Fprint(w, ": hello\nretry: 2000\n\n")
	w.(http.Flusher).Flush()
	for e, err := range s.store.Watch(r.Context(), after) {
		if errors.Is(err, lv.ErrCompacted) {
			fmt.Fprintf(w, "event: compacted\ndata: {\"after\":%d}\n\n", after)
		}
		if err != nil {
			return
		}
		data, err := json.Marshal(wire.EventOf(e))
		if err != nil {
			s.t.Error(err)
			return
		}
		fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, data)
		w.(http.Flusher).Flush()
	}
}

func (s *server) save(row, name string) lv.VersionID {
	v, err := s.table.Save(context.Background(), row, json.RawMessage(`{"name":"`+name+`","n":9007199254740993}`), by)
	require.NoError(s.t, err)
	return v.ID
}

func (s *server) publish(env lv.Env, rows ...string) {
	_, err := s.table.Publish(context.Background(), env, by, rows...)
	require.NoError(s.t, err)
}

func (s *server) strategy(target lv.VersionID) {
	_, err := s.table.SaveStrategy(context.Background(), lv.Strategy{Target: target, Rules: greeted}, by)
	require.NoError(s.t, err)
}

func (s *server) authorize(r *http.Request) { r.Header.Set("X-Key", "secret") }

// follower returns a replica that keeps its state in a file.
func (s *server) follower(file string) *replica.Replica {
	r, err := replica.New(replica.Config{
		Logger: quiet, URL: s.http.URL + "/lv", Table: banners, File: file, SaveEvery: 10 * time.Millisecond, Authorize: s.authorize,
	})
	require.NoError(s.t, err)
	return r
}

// run runs a replica and returns what stops it.
func run(t *testing.T, r *replica.Replica) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		}
	}
	t.Cleanup(stop)
	return stop
}

// views are what a replica can show.
var views = []lv.View{
	{}, {Env: "g"}, {Env: "g", Own: true}, {Env: "unheard"},
	{For: lv.Attributes{"env.content": "Hello"}}, {Env: "g", For: lv.Attributes{}}, {After: "a"}, {Rows: []string{"b", "a"}},
}

func rows(t *testing.T, table *lv.Table, v lv.View) (all []lv.Row) {
	for row, err := range table.Rows(context.Background(), v) {
		require.NoError(t, err)
		all = append(all, row)
	}
	return all
}

// requireSame waits until a replica shows what the server does.
func (s *server) requireSame(r *replica.Replica) {
	s.t.Helper()
	for _, v := range views {
		want := rows(s.t, s.table, v)
		require.EventuallyWithT(s.t, func(c *assert.CollectT) {
			require.Equal(c, want, rows(s.t, r.Table(), v))
		}, hangs, time.Millisecond, "%+v", v)
	}
}

func (s *server) fill() {
	s.save("a", "1")
	s.save("b", "1")
	s.publish(lv.Production, "a", "b")
	s.save("c", "2")
	s.publish("g", "c")
	_, err := s.table.Delete(context.Background(), "b", by)
	require.NoError(s.t, err)
	s.publish("g", "b")
	s.strategy(s.save("a", "3"))
}
