package httpadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage"
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

// buildSync serves a Syncer in the state of a case.
func buildSync(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readSyncState(given)
	if err != nil {
		return fixture{}, err
	}
	n := newNotebook(new(engine), db.SyncState("notes"))
	n.holds, n.boots = s.runs, s.boots
	if s.runs {
		_, err := n.Start(t.Context(), cloudsync.Request{})
		require.NoError(t, err)
	}
	n.settings = cloudsync.Settings{Enabled: !s.disabled, Remote: s.remote}
	n.last[s.remote] = s.synced
	before := map[string]time.Time{}
	for remote, at := range n.last {
		before[remote] = at
	}
	c := httpadapter.Config{Sync: n, TokenInQuery: s.inQuery, Logger: quiet}
	if !s.denies {
		c.Auth = s
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: mux, observe: func(text string) error {
		run := n.runs[len(n.runs)-1]
		from, wanted := before[s.remote], time.Time{}
		if run.Request.Remote != "" {
			from = before[run.Request.Remote]
		}
		switch text {
		case "the started run has mode force-push":
			if run.Request.Mode != cloudsync.ModeForcePush {
				return fmt.Errorf("the mode is %q", run.Request.Mode)
			}
			return nil
		case "lastSyncTime was 0 when the run started":
		case "lastSyncTime was 1700000000000 when the run started":
			wanted = time.UnixMilli(1700000000000).UTC()
		default:
			return fmt.Errorf("cannot observe %q", text)
		}
		if !from.Equal(wanted) {
			return fmt.Errorf("it was %s", from)
		}
		return nil
	}}, nil
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
		`{"app":"a","cloudName":"main","unknown":{"pushMode":"x"}}`: {},
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
