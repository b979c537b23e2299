package httpadapter_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// syncVocabulary are the tokens that buildSync understands.
var syncVocabulary = []string{
	"token:T:admin|reader", "kernel.readonly", "sync.idle", "sync.running", "sync.boot", "sync.disabled", "cloudName:X", "lastSync:N",
	"auth.queryToken=on",
}

// syncState is what the tokens of a case ask for.
type syncState struct {
	denies   bool // there is no authenticator
	tokens   map[string]httpadapter.Role
	readOnly bool
	inQuery  bool
	runs     bool // a sync does
	boots    bool // the first one
	disabled bool
	remote   string
	synced   time.Time // with that
}

func readSyncState(given []string) (syncState, error) {
	s := syncState{tokens: map[string]httpadapter.Role{}}
	roles := map[string]httpadapter.Role{"admin": httpadapter.Admin, "reader": httpadapter.Reader}
	for _, token := range given {
		name, value, _ := strings.Cut(token, ":")
		secret, role, _ := strings.Cut(value, ":")
		ms, notNumber := strconv.ParseInt(value, 10, 64)
		switch {
		case token == "authenticator:none":
			s.denies = true
		case token == "kernel.readonly":
			s.readOnly = true
		case token == "auth.queryToken=on":
			s.inQuery = true
		case token == "sync.idle":
		case token == "sync.running":
			s.runs = true
		case token == "sync.boot":
			s.runs, s.boots = true, true
		case token == "sync.disabled":
			s.disabled = true
		case name == "token" && roles[role] != 0:
			s.tokens[secret] = roles[role]
		case name == "cloudName" && value != "":
			s.remote = value
		case name == "lastSync" && notNumber == nil:
			s.synced = time.UnixMilli(ms).UTC()
		default:
			return s, fmt.Errorf("unknown token %q", token)
		}
	}
	return s, nil
}

// Authenticate implements httpadapter.Authenticator.
func (s syncState) Authenticate(_ context.Context, c httpadapter.Credential, needs httpadapter.Role) (p httpadapter.Principal, err error) {
	role, known := s.tokens[c.Secret]
	switch {
	case !known:
		return p, httpadapter.ErrBadCredential
	case s.readOnly && needs > httpadapter.Reader:
		return p, httpadapter.ErrReadOnly
	}
	return httpadapter.Principal{ID: "ann", Role: role}, nil
}

// syncedAt is when the cases of syncs happen: most speak of a sync that was then.
var syncedAt = time.UnixMilli(1700000000000)

// buildSync serves a Folder in the state of a case. Its Remotes are main and other.
func buildSync(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readSyncState(given)
	if err != nil {
		return fixture{}, err
	}
	cloud := memory.New()
	for _, name := range []string{"main", "other"} {
		require.NoError(t, cloud.Remotes().Create(t.Context(), name))
	}
	files := cloud.Files("notes")
	files.Person().Write("diary.md", "text")
	remote := cloud.Remote("default")
	if s.runs {
		remote = stuck{remote}
	}
	folder, err := cloudsync.New(cloudsync.Config{
		Name: "notes", Device: "desk", Store: db, Files: files, Remote: remote, Remotes: cloud.Remotes(), Vault: newLatch(), Logger: quiet,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	if err := s.enter(t, folder); err != nil {
		return fixture{}, err
	}
	c := httpadapter.Config{Folder: folder, TokenInQuery: s.inQuery, Logger: quiet}
	if !s.denies {
		c.Auth = s
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: mux, observe: func(text string) error { return s.observe(t, folder, text) }}, nil
}

// stuck is a Remote that never answers.
type stuck struct{ cloudsync.Remote }

func (stuck) List(ctx context.Context, _, _ string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		<-ctx.Done()
		yield(cloudsync.Object{}, context.Cause(ctx))
	}
}

func (stuck) Get(ctx context.Context, _ string, _, _ int64) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// enter puts a Folder in the state.
func (s syncState) enter(t *testing.T, folder *cloudsync.Folder) error {
	change := func(now *cloudsync.Settings) { now.Enabled, now.Remote = !s.disabled, s.remote }
	if !s.synced.IsZero() {
		if !s.synced.Equal(time.Now()) {
			return fmt.Errorf("the cases happen at %s, and not at %s", syncedAt, s.synced)
		}
		require.NoError(t, folder.Configure(t.Context(), func(now *cloudsync.Settings) { now.Remote = s.remote }, cloudsync.By{}))
		_, err := folder.Sync(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
	}
	require.NoError(t, folder.Configure(t.Context(), change, cloudsync.By{}))
	switch {
	case s.boots:
		ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
		var run sync.WaitGroup
		run.Go(func() { _ = folder.Run(ctx) })
		t.Cleanup(run.Wait)
		t.Cleanup(end)
		synctest.Wait()
	case s.runs:
		_, err := folder.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
		synctest.Wait()
	}
	return nil
}

// observe looks at the run that was started. When it was synced last is told by
// what it had to send: all, if that was never.
func (s syncState) observe(t *testing.T, folder *cloudsync.Folder, text string) error {
	st, err := folder.Status(t.Context())
	require.NoError(t, err)
	last := st.Last
	if st.Run != nil {
		last = st.Run
	}
	run, err := folder.Wait(t.Context(), last.ID)
	require.NoError(t, err)
	sent := 0
	switch text {
	case "the started run has mode force-push":
		if run.Request.Mode != cloudsync.ModeForcePush {
			return fmt.Errorf("the mode is %q", run.Request.Mode)
		}
		return nil
	case "lastSyncTime was 0 when the run started":
		sent = 1
	case "lastSyncTime was 1700000000000 when the run started":
	default:
		return fmt.Errorf("cannot observe %q", text)
	}
	if run.Uploaded != sent {
		return fmt.Errorf("the sync with %q has sent %d files", run.Request.Remote, run.Uploaded)
	}
	return nil
}

func TestAPerformedSyncAsksForWhatTheBodySays(t *testing.T) {
	for body, want := range map[string]cloudsync.Request{
		`{"app":"a"}`:                                               {},
		`{"app":"a","force":true}`:                                  {Force: true},
		`{"app":"a","pushMode":"force-pull"}`:                       {Mode: cloudsync.ModeForcePull},
		`{"app":"a","pushMode":"force-push","pushOnly":true}`:       {Mode: cloudsync.ModeForcePush},
		`{"app":"a","pushMode":"force-pull","pushOnly":false}`:      {Mode: cloudsync.ModeForcePull},
		`{"app":"a","cloudName":"other"}`:                           {Remote: "other"},
		`{"app":"a","cloudName":""}`:                                {},
		`{"app":"a","cloudName":"main","unknown":{"pushMode":"x"}}`: {Remote: "main"},
	} {
		s := new(site).open(t)
		r := s.send("POST", "/api/sync/performSync", body, as(admin))
		require.EqualValues(t, 0, r.json(t)["code"], "%s: %s", body, r.text)
		want.By = cloudsync.By{Actor: "ann", Reason: "a"}
		require.Equal(t, want, s.notebook.runs[0].Request, body)
	}
	for _, body := range []string{
		`{"app":"a","pushMode":"force-pull","pushOnly":true}`, `{"app":"a\u0007"}`, `{"app":"` + strings.Repeat("x", 257) + `"}`, `{"app":"a","cloudName":"none"}`,
	} {
		s := new(site).open(t)
		r := s.send("POST", "/api/sync/performSync", body, as(admin))
		require.EqualValues(t, -1, r.json(t)["code"], "%s: %s", body, r.text)
		require.Empty(t, s.notebook.runs)
	}
}

func TestSyncInfoTellsWhatGoesOn(t *testing.T) {
	s := new(site).open(t)
	info := func(token string) map[string]any {
		r := s.send("POST", "/api/sync/getSyncInfo", "", header("Authorization", "token "+token))
		require.EqualValues(t, 0, r.json(t)["code"], r.text)
		return r.json(t)["data"].(map[string]any)
	}
	require.EqualValues(t, 0, info(reader)["synced"])
	s.notebook.holds = true
	s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin))
	require.Equal(t, []any{"A sync is in progress", "Looking for changes"}, []any{info(reader)["stat"], info(reader)["info"]})
	s.notebook.finish(cloudsync.StateFailed)
	require.Equal(t, "The last sync failed: why it ended so", info(admin)["stat"])
	require.Equal(t, "The last sync failed", info(reader)["stat"])
	s.notebook.settings.Enabled = false
	require.Equal(t, "Sync is switched off", info(reader)["stat"])
	names := []string{}
	for _, k := range info(reader)["kernels"].([]any) {
		names = append(names, k.(map[string]any)["hostname"].(string))
	}
	require.True(t, slices.Equal(names, []string{"desk", "phone"}))
}
