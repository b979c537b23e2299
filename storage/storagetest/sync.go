package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// aFolder is the one that the cases write.
const aFolder = "notes"

var folderStore = store{
	domain: "sync", table: "upkeep_sync_entry", key: "entry_key",

	of:        func(b storage.Backend) any { return b.SyncState(aFolder) },
	run:       runFolders,
	reopening: []backendCase{{"what is noted of a folder survives reopening", foldersSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		_, err := b.SyncState(aFolder).Update(ctx, 0, noted(id), cloudsync.Event{Kind: cloudsync.EventLog, Run: id})
		return err
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		for e, err := range b.SyncState(aFolder).List(ctx, id) {
			if err != nil || e.Key == id {
				return err == nil, err
			}
		}
		return false, nil
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		s := b.SyncState(aFolder)
		return []call{
			calling("Update", func() (int64, error) { return s.Update(ctx, 0, noted("another")) }),
			listing("List", s.List(ctx, "")),
			listing("Watch", s.Watch(ctx, 0)),
			listing("Watch", s.Watch(ctx, -1)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		s := b.SyncState(aFolder)
		_, err := s.Update(t.Context(), 1000, noted("kept"))
		require.NoError(t, err)
		_, err = s.Update(t.Context(), 999, noted("half"), cloudsync.Event{Run: "half"})
		require.ErrorIs(t, err, cloudsync.ErrStale)
		_, err = s.Update(t.Context(), 1000, append(noted("half"), cloudsync.Entry{}))
		require.ErrorIs(t, err, cloudsync.ErrInvalid)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		id := fmt.Sprint("work ", n)
		events := []cloudsync.Event{{Kind: cloudsync.EventStarted, Run: id}, {Kind: cloudsync.EventEnded, Run: id}}
		seq, err := b.SyncState(aFolder).Update(t.Context(), int64(n), noted(id), events...)
		require.NoError(t, err)
		require.EqualValues(t, 2*n, seq, "the numbers of events go on")
		require.Len(t, all(t, b.SyncState(aFolder).List(t.Context(), "work ")), n)
	},
	events: 2,
	watch: func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error] {
		return seqs(b.SyncState(aFolder).Watch(ctx, after), func(e cloudsync.Event) int64 { return e.Seq })
	},
}

// noted is an entry of its own name.
func noted(id string) []cloudsync.Entry { return []cloudsync.Entry{{Key: id, Value: []byte(id)}} }

// aRemote is the one that the cases write, which nobody creates.
const aRemote = "cloud"

// remoteStore is of the same domain, so a case of tables has it twice.
var remoteStore = store{
	domain: folderStore.domain, table: folderStore.table, key: folderStore.key,

	of:        func(b storage.Backend) any { return b.Remotes() },
	run:       runRemotes,
	reopening: []backendCase{{"remotes survive reopening", remotesSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		return b.Remote(aRemote).PutIfAbsent(ctx, objectOf(id), bytes.NewReader([]byte(id)))
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		for o, err := range b.Remote(aRemote).List(ctx, objectOf(id), "") {
			if err != nil || o.Name == objectOf(id) {
				return err == nil, err
			}
		}
		return false, nil
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		s, r := b.Remotes(), b.Remote(aRemote)
		return []call{
			calling("Open", func() (cloudsync.Remote, error) { return s.Open(ctx, "another") }),
			listing("List", s.List(ctx)),
			{"Create", func() error { return s.Create(ctx, "another") }},
			{"Remove", func() error { return s.Remove(ctx, "another") }},
			{"PutIfAbsent", func() error { return r.PutIfAbsent(ctx, "another", bytes.NewReader(nil)) }},
			calling("Get", func() (io.ReadCloser, error) { return r.Get(ctx, "another", 0, -1) }),
			listing("List", r.List(ctx, "", "")),
			{"Delete", func() error { return r.Delete(ctx, "another") }},
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		r := b.Remote(aRemote)
		require.NoError(t, r.PutIfAbsent(t.Context(), objectOf("kept"), bytes.NewReader([]byte("kept"))))
		require.ErrorIs(t, r.PutIfAbsent(t.Context(), objectOf("kept"), bytes.NewReader(nil)), cloudsync.ErrExists)
		require.ErrorIs(t, r.PutIfAbsent(t.Context(), objectOf("half"), torn{}), io.ErrUnexpectedEOF)
		require.NoError(t, b.Remotes().Create(t.Context(), "one"))
		require.ErrorIs(t, b.Remotes().Create(t.Context(), "ONE"), cloudsync.ErrExists)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		id := fmt.Sprint("work ", n)
		r := b.Remote(aRemote)
		require.NoError(t, r.PutIfAbsent(t.Context(), objectOf(id), bytes.NewReader([]byte(id))))
		require.Equal(t, id[1:3], partOf(t, r, objectOf(id), 1, 2))
		require.Len(t, all(t, r.List(t.Context(), objectOf("work "), "")), n)
		require.NoError(t, b.Remotes().Create(t.Context(), id))
		require.Contains(t, all(t, b.Remotes().List(t.Context())), id)
	},
}

// objectOf is the name of the object for an id.
func objectOf(id string) string { return fmt.Sprintf("d/%x", id) }

// torn is a body that has less than its size.
type torn struct{}

func (torn) Size() int64 { return 6 << 20 }

func (torn) ReadAt(p []byte, off int64) (int, error) {
	if n := int64(5<<20) - off; n < int64(len(p)) {
		return int(max(n, 0)), io.EOF
	}
	return len(p), nil
}

// partOf reads a part of an object.
func partOf(t testing.TB, r cloudsync.Remote, name string, off, n int64) string {
	t.Helper()
	in, err := r.Get(t.Context(), name, off, n)
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	return string(data)
}

func runFolders(t *testing.T, h Harness) {
	s, first := harnessOf(h, func(b storage.Backend) cloudsync.Store { return b })
	u := syncertest.StoreHarness{Open: s.Open, Again: s.Again, Retain: s.Retain, RealTime: s.RealTime}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ cloudsync.Store, folder, run string) {
			h.Damage(t, first(), `UPDATE upkeep_sync_event SET record = '{"kind":' WHERE folder = ? AND run = ?`, []byte(folder), []byte(run))
		}
	}
	t.Run("SyncState", func(t *testing.T) { syncertest.RunStore(t, u) })
}

func runRemotes(t *testing.T, h Harness) {
	s, _ := harnessOf(h, func(b storage.Backend) cloudsync.Remotes { return b.Remotes() })
	t.Run("Remotes", func(t *testing.T) {
		syncertest.RunRemotes(t, syncertest.RemotesHarness{Open: s.Open, Again: s.Again, RealTime: s.RealTime})
	})
	one, _ := harnessOf(h, func(b storage.Backend) cloudsync.Remote { return b.Remote(aRemote) })
	t.Run("Remote", func(t *testing.T) {
		syncertest.RunRemote(t, syncertest.RemoteHarness{Open: one.Open, Again: one.Again, RealTime: one.RealTime})
	})
}

func foldersSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	entries := []cloudsync.Entry{{Key: "a\xff", Value: []byte{}}, {Key: "b", Value: []byte("\x00\xff")}}
	_, err := first.SyncState(aFolder).Update(t.Context(), 5, entries, cloudsync.Event{Kind: cloudsync.EventStarted, Run: "1"})
	require.NoError(t, err)
	events := folderEvents(t, first, 1)

	b := h.reopen(t, first)
	s := b.SyncState(aFolder)
	require.Equal(t, entries, all(t, s.List(t.Context(), "")), "entries survive reopening")
	require.Equal(t, events, folderEvents(t, b, 1), "events survive reopening")
	_, err = s.Update(t.Context(), 4, nil)
	require.ErrorIs(t, err, cloudsync.ErrStale, "the token that has written survives reopening")
	seq, err := s.Update(t.Context(), 5, nil, cloudsync.Event{})
	require.NoError(t, err)
	require.EqualValues(t, 2, seq, "Seq goes on through reopening")
}

// folderEvents returns the first n events, which must be there.
func folderEvents(t testing.TB, b storage.Backend, n int) []cloudsync.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[cloudsync.Event, error] {
		return b.SyncState(aFolder).Watch(ctx, 0)
	})
}

func remotesSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	require.NoError(t, first.Remotes().Create(t.Context(), "Ärzte"))
	r, err := first.Remotes().Open(t.Context(), "Ärzte")
	require.NoError(t, err)
	content := bytes.Repeat([]byte("12345678"), 5<<20/8)
	require.NoError(t, r.PutIfAbsent(t.Context(), "d/one", bytes.NewReader(content)))
	objects := all(t, r.List(t.Context(), "", ""))

	b := h.reopen(t, first)
	require.Equal(t, []string{"Ärzte"}, all(t, b.Remotes().List(t.Context())), "remotes survive reopening")
	r, err = b.Remotes().Open(t.Context(), "Ärzte")
	require.NoError(t, err)
	require.Equal(t, objects, all(t, r.List(t.Context(), "", "")), "objects survive reopening")
	require.True(t, string(content) == partOf(t, r, "d/one", 0, -1), "contents survive reopening")
	require.ErrorIs(t, r.PutIfAbsent(t.Context(), "d/one", bytes.NewReader(nil)), cloudsync.ErrExists)
	require.ErrorIs(t, b.Remotes().Create(t.Context(), "äRZTE"), cloudsync.ErrExists, "names that fold to one survive reopening")
}
