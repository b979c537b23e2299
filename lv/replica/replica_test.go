package replica_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

var (
	by      = lv.By{Actor: "ada"}
	quiet   = slog.New(slog.DiscardHandler) // for what tests provoke
	banners = lv.TableID{App: "app", Schema: "banners"}
	greeted = lv.Rules{{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"}}
)

// hangs is how long a test waits for what a replica does: it tells one that
// hangs from a machine that is busy.
const hangs = 3 * time.Minute

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
		Logger: quiet, URL: s.http.URL + "/lv", Table: banners, File: filepath.Join(t.TempDir(), "state"),
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
	t.Parallel()
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
		Logger: quiet, URL: "http://127.0.0.1:1/lv", Table: banners, File: filepath.Join(t.TempDir(), "state"),
		Authorize: func(r *http.Request) { r.URL.RawQuery += "&authkey=secret" },
	})
	require.NoError(t, err)
	_, err = r.Table().Get(t.Context(), "a", lv.View{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
