package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// updateVocabulary are the tokens that buildUpdate understands.
var updateVocabulary = []string{
	"token:T:ROLE", "update.idle", "update.running", "update.stale", "update.disabled",
	"updater.ok:V", "updater.fails:MSG", "progress.auth=on|off",
}

// core is the package of the cases.
const core = "wncms/wncms"

// updateState is what the tokens of a case ask for.
type updateState struct {
	secrets  httpadapter.Secrets // nil: no authenticator
	open     bool                // progress needs no token
	version  string              // what the source has
	failure  error               // of the step
	disabled bool
	running  bool
	stale    bool
}

func readUpdateState(given []string) (updateState, error) {
	s := updateState{secrets: httpadapter.Secrets{}, version: "6.1.0"}
	for _, token := range given {
		name, value, _ := strings.Cut(token, ":")
		switch {
		case name == "token":
			i := strings.LastIndexByte(value, ':')
			role, ok := map[string]httpadapter.Role{"admin": httpadapter.Admin, "user": httpadapter.Reader}[value[i+1:]]
			if i < 1 || !ok {
				return s, fmt.Errorf("unknown token %q", token)
			}
			s.secrets[value[:i]] = httpadapter.Principal{ID: value[i+1:], Role: role}
		case name == "updater.ok" && value != "":
			s.version = value
		case name == "updater.fails" && value != "":
			s.failure = errors.New(value)
		case token == "update.idle", token == "progress.auth=on":
		case token == "update.running":
			s.running = true
		case token == "update.stale":
			s.stale = true
		case token == "update.disabled":
			s.disabled = true
		case token == "progress.auth=off":
			s.open = true
		case token == "authenticator:none":
			s.secrets = nil
		default:
			return s, fmt.Errorf("unknown token %q", token)
		}
	}
	return s, nil
}

// buildUpdate serves a real Updater over the engine, in the state of a case.
func buildUpdate(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readUpdateState(given)
	if err != nil {
		return fixture{}, err
	}
	end := make(chan struct{}) // of a running update
	u := newUpdater(t, db, update.Package{
		Name:   core,
		Source: source.Static(s.version, "6.0.9"),
		Gate: func(context.Context, update.Request) error {
			if s.disabled {
				return update.ErrDisabled
			}
			return nil
		},
		Steps: []update.Step{{Name: "install", Do: func(ctx context.Context, _ *update.Task) error {
			if s.running {
				<-end
			}
			return s.failure
		}}},
	})
	t.Cleanup(func() { close(end) })
	if s.stale {
		leaveStale(t, db)
	}
	if s.running {
		_, err := u.Start(t.Context(), update.Request{Package: core, Version: s.version})
		require.NoError(t, err)
	}
	c := httpadapter.Config{Update: u, ProgressOpen: s.open, Logger: quiet}
	if s.secrets != nil {
		c.Auth = s.secrets
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: mux}, nil
}

// leaveStale leaves what a process leaves that died in an update: a run that
// is not done, under a lease that has expired.
func leaveStale(t *testing.T, db storage.Backend) {
	ctx := t.Context()
	held, err := db.Locker().Acquire(ctx, lease.Item("update", update.DefaultLock), "a dead process", time.Millisecond)
	require.NoError(t, err)
	_, err = db.Journal().Create(ctx, update.Run{
		ID: "dead", Package: core, Item: update.DefaultLock, Version: "6.0.9",
		Release: update.Release{Version: "6.0.9"}, State: update.StateRunning, Token: held.Token,
		Steps:   []update.StepRecord{{Name: "install", Phase: update.PhaseDoing, Attempt: 1}},
		Request: update.Request{Package: core}, Owner: "a dead process",
	}, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := db.Locker().Holder(ctx, lease.Item("update", update.DefaultLock))
		return errors.Is(err, lease.ErrFree)
	}, time.Minute, time.Millisecond)
}

// newUpdater returns an Updater over the engine that is closed with the test.
func newUpdater(t testing.TB, db storage.Backend, packages ...update.Package) *update.Updater {
	u, err := update.New(update.Config{Store: db, Packages: packages, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, u.Close()) })
	return u
}
