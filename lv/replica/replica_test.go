package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var (
	by      = lv.Meta{Actor: "ada"}
	banners = lv.TableID{App: "app", Schema: "banners"}
	greeted = lv.Rules{{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"}}
)

// hangs is how long a test waits for what a replica does: it tells one that
// hangs from a machine that is busy.
const hangs = 3 * time.Minute

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
	db := memory.New()
	db.Retention = storage.Retention{Events: 20}
	service, err := lv.New(lv.Config{Store: db.Versions()})
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
		err = replica.WriteSnapshot(w, banners, snapshot)
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
		data, err := json.Marshal(replica.EventOf(e))
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
		URL: s.http.URL + "/lv", Table: banners, File: file, SaveEvery: 10 * time.Millisecond, Authorize: s.authorize,
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
	{For: lv.Attributes{"env.content": "Hello"}}, {Env: "g", For: lv.Attributes{}}, {After: "a"}, {IDs: []string{"b", "a"}},
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

func TestAReplicaShowsWhatTheServerDoes(t *testing.T) {
	s := serve(t)
	s.fill()
	r := s.follower(filepath.Join(t.TempDir(), "state"))
	s.requireSame(r) // before it runs: the server's state
	require.False(t, r.Status().Connected)
	run(t, r)
	s.save("b", "4")
	s.publish(lv.Production, "b", "c")
	s.publish("h", "b")
	s.requireSame(r)
	require.True(t, r.Status().Connected)
	gone, err := s.table.Delete(t.Context(), "c", by)
	require.NoError(t, err)
	s.strategy(gone.ID)
	s.publish(lv.Production, "c")
	_, err = s.table.Reset(t.Context(), "g", by, "c")
	require.NoError(t, err)
	strategies, err := s.table.Strategies(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.table.DeleteStrategy(t.Context(), strategies[len(strategies)-1].ID, by))
	s.requireSame(r)
	envs, err := r.Table().Envs(t.Context())
	require.NoError(t, err)
	require.Equal(t, []lv.Env{"g", "h"}, envs)
	require.EqualValues(t, 1, s.snapshots.Load())
}

func TestAReplicaServesFromItsFileWhileTheServerIsAway(t *testing.T) {
	s := serve(t)
	s.fill()
	file := filepath.Join(t.TempDir(), "state")
	first := s.follower(file)
	stop := run(t, first)
	s.requireSame(first)
	require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, hangs, time.Millisecond)
	s.save("b", "5")
	s.publish(lv.Production, "b")
	s.requireSame(first)
	s.away.Store(true)
	s.http.CloseClientConnections()
	require.Eventually(t, func() bool { return !first.Status().Connected }, hangs, time.Millisecond)
	s.requireSame(first)
	stop()

	second := s.follower(file)
	s.requireSame(second)
	stop = run(t, second)
	s.requireSame(second)
	// Where it was, it goes on, without reading all of it again.
	s.save("a", "6")
	s.publish(lv.Production, "a")
	s.away.Store(false)
	s.requireSame(second)
	require.EqualValues(t, 1, s.snapshots.Load())
	stop()
}

func TestAReplicaComesBackToWhereItWas(t *testing.T) {
	s := serve(t)
	s.fill()
	r, err := replica.New(replica.Config{
		URL: s.http.URL + "/lv", Table: banners, File: filepath.Join(t.TempDir(), "state"),
		Authorize: func(r *http.Request) { r.Header.Set("X-Key", "secret") },
	})
	require.NoError(t, err)
	run(t, r) // nobody reads, and nothing is saved yet
	require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond)
	for n := range 30 { // more events than the server keeps
		s.save("a", fmt.Sprint("n", n))
		s.publish(lv.Production, "a")
		seq, err := s.table.Seq(t.Context())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return r.Status().Seq >= seq }, hangs, time.Millisecond)
	}
	s.requireSame(r)
	s.http.CloseClientConnections()
	s.save("a", "end")
	s.publish(lv.Production, "a")
	s.requireSame(r)
	require.EqualValues(t, 1, s.snapshots.Load())
}

func TestAReplicaThatWasAwayTooLongReadsAnew(t *testing.T) {
	s := serve(t)
	s.fill()
	file := filepath.Join(t.TempDir(), "state")
	r := s.follower(file)
	stop := run(t, r)
	s.requireSame(r)
	stop()
	for n := range 30 { // more events than the server keeps
		s.save("a", fmt.Sprint("n", n))
		s.publish(lv.Production, "a")
	}
	late := s.follower(file)
	row, err := late.Table().Get(t.Context(), "a", lv.View{})
	require.NoError(t, err)
	require.Contains(t, string(row.Content), `"name":"1"`, "what it showed last")
	run(t, late)
	s.requireSame(late)
	require.EqualValues(t, 2, s.snapshots.Load())
	s.save("a", "end")
	s.publish(lv.Production, "a")
	s.requireSame(late)
}

func TestAReplicaThatHasNothingWaitsForTheServer(t *testing.T) {
	s := serve(t)
	s.fill()
	s.away.Store(true)
	r := s.follower(filepath.Join(t.TempDir(), "state"))
	_, err := r.Table().Get(t.Context(), "a", lv.View{})
	require.ErrorContains(t, err, "503")
	run(t, r)
	s.away.Store(false)
	require.Eventually(t, func() bool {
		_, err := r.Table().Get(t.Context(), "a", lv.View{})
		return err == nil
	}, hangs, time.Millisecond)
	s.requireSame(r)
}

func TestAFileThatCannotBeReadIsReplaced(t *testing.T) {
	sealed := func(text string) func([]byte) []byte {
		return func([]byte) []byte { return fmt.Appendf(nil, "%s\n%x\n", text, sha256.Sum256([]byte(text))) }
	}
	for name, spoil := range map[string]func(text []byte) []byte{
		"cut off":               func(text []byte) []byte { return text[:len(text)/2] },
		"cut off at the seal":   func(text []byte) []byte { return text[:len(text)-66] },
		"empty":                 func([]byte) []byte { return nil },
		"another content":       func(text []byte) []byte { return bytes.Replace(text, []byte(`"name"`), []byte(`"mane"`), 1) },
		"longer":                func(text []byte) []byte { return append(text, '\n') },
		"something else":        sealed(`{"table":{"app":"app","schema":"banners"},"seq":1}`),
		"another table's":       sealed(`{"table":{"app":"app","schema":"other"},"envs":{"":[]}}`),
		"out of order":          sealed(`{"table":{"app":"app","schema":"banners"},"envs":{"":[{"object_id":"b"},{"object_id":"a"}]}}`),
		"a strategy of nothing": sealed(`{"table":{"app":"app","schema":"banners"},"strategies":[{"id":1}],"envs":{"":[]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.fill()
			file := filepath.Join(t.TempDir(), "state")
			first := s.follower(file)
			stop := run(t, first)
			s.requireSame(first)
			stop()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			spoilt := spoil(bytes.Clone(text))
			require.NotEqual(t, string(text), string(spoilt))
			require.NoError(t, os.WriteFile(file, spoilt, 0o600))
			second := s.follower(file)
			s.requireSame(second)
			run(t, second)()
			kept, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(text), string(kept))
			files, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			require.Len(t, files, 1)
		})
	}
}

func TestAReplicaIsReadOnly(t *testing.T) {
	s := serve(t)
	s.fill()
	table := s.follower(filepath.Join(t.TempDir(), "state")).Table()
	ctx := t.Context()
	second := func(_ any, err error) error { return err }
	errs := map[string]error{
		"save":       second(table.Save(ctx, "a", json.RawMessage(`{}`), by)),
		"publish":    second(table.Publish(ctx, "", by, "a")),
		"strategy":   second(table.SaveStrategy(ctx, lv.Strategy{Target: 1, Rules: greeted}, by)),
		"strategies": second(table.Strategies(ctx)),
		"revert":     second(table.Revert(ctx, 1, by)),
	}
	for _, err := range table.Rows(ctx, lv.View{Working: true}) {
		errs["working rows"] = err
	}
	for _, err := range table.History(ctx, lv.Query{}) {
		errs["history"] = err
	}
	for what, err := range errs {
		require.ErrorIs(t, err, errors.ErrUnsupported, what)
	}
}

func TestWhatAReplicaNeeds(t *testing.T) {
	good := replica.Config{URL: "http://localhost/lv", Table: banners, File: "state"}
	_, err := replica.New(good)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*replica.Config){
		"an address":       func(c *replica.Config) { c.URL = "localhost" },
		"one over http":    func(c *replica.Config) { c.URL = "ftp://localhost/" },
		"an app":           func(c *replica.Config) { c.Table.App = "" },
		"a schema":         func(c *replica.Config) { c.Table.Schema = "" },
		"a file":           func(c *replica.Config) { c.File = "" },
		"a patient client": func(c *replica.Config) { c.Client = &http.Client{Timeout: time.Minute} },
		"a past interval":  func(c *replica.Config) { c.SaveEvery = -1 },
	} {
		c := good
		spoil(&c)
		_, err := replica.New(c)
		require.ErrorIs(t, err, lv.ErrInvalid, name)
	}
}

func TestCredentialsInAnAddressAreInNoError(t *testing.T) {
	r, err := replica.New(replica.Config{
		URL: "http://127.0.0.1:1/lv", Table: banners, File: filepath.Join(t.TempDir(), "state"),
		Authorize: func(r *http.Request) { r.URL.RawQuery += "&authkey=secret" },
	})
	require.NoError(t, err)
	_, err = r.Table().Get(t.Context(), "a", lv.View{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
