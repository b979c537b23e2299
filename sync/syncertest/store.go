package syncertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// StoreHarness describes the sync.Store under test.
type StoreHarness struct {
	// Open returns a Store over fresh state and cleans up with t.Cleanup.
	Open func(t testing.TB) cloudsync.Store
	// Again opens the state of first, which Open returned, once more, as another
	// process would, and cleans up with t.Cleanup. Without it, for an engine whose
	// state is its own, there are no cases of two handles.
	Again func(t testing.TB, first cloudsync.Store) cloudsync.Store
	// Retain is Open with a limit: keep at most this many events of a folder, or
	// none older than this; zero means the engine's default. Without it, for an
	// engine that keeps all events, there are no cases of ErrCompacted.
	Retain func(t testing.TB, events int, age time.Duration) cloudsync.Store
	// Damage makes the events of a run of a folder unreadable, behind the back of a
	// Store that Open returned. Without it, for an engine whose state nothing else
	// can reach, there are no cases of damage.
	Damage func(t testing.TB, s cloudsync.Store, folder, run string)
	// RealTime is set by engines whose clock testing/synctest cannot fake. The
	// suite then waits for real, for short times.
	RealTime bool
}

// RunStore checks that an engine keeps every promise of sync.FolderStore. Those of
// lease.Locker are in lease/leasetest.
func RunStore(t *testing.T, h StoreHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// folder is the one that most cases are about.
const folder = "notes"

// storeTest is what a case of RunStore works with.
type storeTest struct {
	testing.TB
	cloudsync.FolderStore // of folder, over fresh state
	store                 cloudsync.Store
	again                 func() cloudsync.FolderStore
	damage                func(run string)
}

// storeCase is a promise of sync.FolderStore, in words, and its check.
type storeCase struct {
	Name string
	Run  func(*storeTest)
}

func (h StoreHarness) cases() []suitetest.Case {
	start := func(t testing.TB) *storeTest {
		s := h.Open(t)
		return &storeTest{
			TB: t, FolderStore: s.SyncState(folder), store: s,
			again:  func() cloudsync.FolderStore { return h.Again(t, s).SyncState(folder) },
			damage: func(run string) { h.Damage(t, s, folder, run) },
		}
	}
	promises := []storeCase{
		{"a new folder has nothing", (*storeTest).empty},
		{"entries come back byte by byte, in byte order", (*storeTest).roundTrip},
		{"an entry is read by its key", (*storeTest).gets},
		{"a list has a prefix", (*storeTest).prefixed},
		{"a list can be left and read again", (*storeTest).isLeft},
		{"a list is of one moment", (*storeTest).oneMoment},
		{"an entry is replaced and removed", (*storeTest).replaces},
		{"of a key that is there twice the last counts", (*storeTest).twice},
		{"a large value comes back", (*storeTest).large},
		{"what cannot be written is refused", (*storeTest).limits},
		{"an update is done whole or not at all", (*storeTest).whole},
		{"updates at once are not mixed", (*storeTest).atOnce},
		{"a lesser token is overtaken", (*storeTest).overtaken},
		{"token 0 asks for nothing and leaves the token", (*storeTest).wishes},
		{"folders do not see each other", (*storeTest).apart},
		{"a context that has ended writes and reads nothing", (*storeTest).ended},
		{"what a call was given is the caller's to change", (*storeTest).argumentsAreCopied},
		{"what a list yields is the caller's to change", (*storeTest).resultsAreCopies},

		{"watch yields what was written in order", (*storeTest).watchOrder},
		{"an event comes back as it was written", (*storeTest).eventTrip},
		{"an update returns the number of its last event", (*storeTest).lastNumber},
		{"events are numbered for each folder, without a gap", (*storeTest).numbers},
	}
	if h.Again != nil {
		promises = append(promises, storeCase{"two handles see the same folder", (*storeTest).handles})
	}
	if h.Damage != nil {
		promises = append(promises, storeCase{"an event that cannot be read is corrupt, and others are not", (*storeTest).damaged})
	}
	return append(suitetest.On(start, promises), h.feed().Cases()...)
}

// update writes entries by a token that must do.
func (t *storeTest) update(token int64, entries ...cloudsync.Entry) {
	t.Helper()
	_, err := t.Update(t.Context(), token, entries)
	require.NoError(t, err)
}

// entry is one of text.
func entry(key, value string) cloudsync.Entry {
	return cloudsync.Entry{Key: key, Value: append([]byte{}, value...)}
}

// listed are the entries of a store with a prefix.
func (t *storeTest) listed(s cloudsync.FolderStore, prefix string) []cloudsync.Entry {
	t.Helper()
	entries := []cloudsync.Entry{}
	for e, err := range s.List(t.Context(), prefix) {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return entries
}

// has checks what a folder has: keys and their values by turns.
func (t *storeTest) has(pairs ...string) {
	t.Helper()
	t.lists(t.FolderStore, "", pairs...)
}

func (t *storeTest) lists(s cloudsync.FolderStore, prefix string, pairs ...string) {
	t.Helper()
	want := []cloudsync.Entry{}
	for i := 0; i < len(pairs); i += 2 {
		want = append(want, entry(pairs[i], pairs[i+1]))
	}
	require.Equal(t, want, t.listed(s, prefix))
}
