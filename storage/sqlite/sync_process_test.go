package sqlite_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func init() {
	// note writes three entries and two events at a time, and says so of each time.
	roles["note"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		notes := db.SyncState("notes")
		for i := 0; ; i++ {
			id := fmt.Sprintf("%s-%06d", args[1], i)
			var entries []cloudsync.Entry
			for part := range 3 {
				entries = append(entries, cloudsync.Entry{Key: fmt.Sprint(id, "/", part), Value: bytes.Repeat([]byte(id), 300)})
			}
			e := cloudsync.Event{Kind: cloudsync.EventLog, Run: id}
			if _, err := notes.Update(context.Background(), 0, entries, e, e); err != nil {
				return err
			}
			fmt.Println(id)
		}
	}
	// put puts objects until it is killed, and says which one before.
	roles["put"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			name := fmt.Sprintf("%s/%d", args[1], i)
			fmt.Println(name)
			if err := db.Remote("cloud").PutIfAbsent(context.Background(), name, bytes.NewReader(sealed(name))); err != nil {
				return err
			}
		}
	}
	// race puts names in an order of its own, and says which it has won.
	roles["race"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		for _, i := range rand.Perm(races) {
			name := fmt.Sprint("heads/", i)
			err := db.Remote("cloud").PutIfAbsent(context.Background(), name, bytes.NewReader([]byte(args[1])))
			switch {
			case err == nil:
				fmt.Println(name)
			case !errors.Is(err, cloudsync.ErrExists):
				return err
			}
		}
		return db.Close()
	}
}

const races = 100

// sealed is a content of several transactions, which tells for what name it is and
// whether it is whole.
func sealed(name string) []byte {
	content := bytes.Repeat([]byte(name+"\n"), 2_500_000/(len(name)+1))
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

func TestAnUpdateOfAKilledProcessIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	var acknowledged []string
	for round := range 5 {
		c := roles.Start(t, "note", path, fmt.Sprint("round-", round))
		acknowledged = append(acknowledged, c.Line())
		time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Millisecond)))) // of a real process
		acknowledged = append(acknowledged, c.Kill()...)
	}

	db := open(t, sqlite.Config{Path: path})
	last, err := db.SyncState("notes").Update(t.Context(), 0, nil, cloudsync.Event{Kind: cloudsync.EventLog, Run: "last"})
	require.NoError(t, err)
	entries, events := map[string]int{}, map[string]int{}
	for e, err := range db.SyncState("notes").List(t.Context(), "") {
		require.NoError(t, err)
		id := e.Key[:len(e.Key)-2]
		require.Equal(t, bytes.Repeat([]byte(id), 300), e.Value)
		entries[id]++
	}
	for e, err := range db.SyncState("notes").Watch(t.Context(), 0) {
		require.NoError(t, err)
		if e.Seq == last {
			break
		}
		events[e.Run]++
	}
	for _, id := range acknowledged {
		require.Contains(t, entries, id, "it was acknowledged")
	}
	require.LessOrEqual(t, len(entries), len(acknowledged)+5, "at most the last of each process was not acknowledged")
	require.Len(t, events, len(entries))
	for id, n := range entries {
		require.Equal(t, 3, n, "entries of %s", id)
		require.Equal(t, 2, events[id], "events of %s", id)
	}
}

func TestAnObjectThatAKilledProcessPutIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	var put []string
	for round := range 5 {
		c := roles.Start(t, "put", path, fmt.Sprint("round-", round))
		at := c.Line()
		time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond)))) // of a real process
		said := append([]string{at}, c.Kill()...)
		put = append(put, said...)

		db := open(t, sqlite.Config{Path: path})
		for n, name := range said {
			err := db.Remote("cloud").PutIfAbsent(t.Context(), name, bytes.NewReader(sealed(name)))
			if n < len(said)-1 || err != nil {
				require.ErrorIs(t, err, cloudsync.ErrExists, "%s was put", name)
			}
		}
		require.NoError(t, db.Close())
	}
	db := open(t, sqlite.Config{Path: path})
	var seen []string
	for o, err := range db.Remote("cloud").List(t.Context(), "", "") {
		require.NoError(t, err)
		require.True(t, bytes.Equal(sealed(o.Name), objectOf(t, db, o.Name)), o.Name)
		seen = append(seen, o.Name)
	}
	require.ElementsMatch(t, put, seen)
}

// objectOf returns the content of an object.
func objectOf(t *testing.T, db *sqlite.DB, name string) []byte {
	t.Helper()
	in, err := db.Remote("cloud").Get(t.Context(), name, 0, -1)
	require.NoError(t, err, name)
	data, err := io.ReadAll(in)
	require.NoError(t, errors.Join(err, in.Close()), name)
	return data
}

func TestOfTwoProcessesOneWinsEachName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, open(t, sqlite.Config{Path: path}).Close())
	names := []string{"first", "the second"}
	racers := []*proctest.Child{roles.Start(t, "race", path, names[0]), roles.Start(t, "race", path, names[1])}
	winner := map[string]string{}
	for i, c := range racers {
		for _, object := range c.End() {
			require.NotContains(t, winner, object, "it was won twice")
			winner[object] = names[i]
		}
	}
	require.Len(t, winner, races)
	db := open(t, sqlite.Config{Path: path})
	for object, by := range winner {
		require.Equal(t, by, string(objectOf(t, db, object)), object)
	}
}

func TestWhatIsNotedOfAFolderGoesOnInANewHistory(t *testing.T) {
	folder := t.TempDir()
	c, backup := sqlite.Config{Path: filepath.Join(folder, "state.db"), Relaxed: true}, filepath.Join(folder, "backup.db")
	db := open(t, c)
	tokens := map[string]int64{}
	// save writes events by a new lease of the folder, and returns the number of the
	// first.
	save := func(name string, events int) int64 {
		t.Helper()
		held, err := db.Locker().Acquire(t.Context(), "sync:"+name, "me", time.Hour)
		require.NoError(t, err)
		require.Greater(t, held.Token, tokens[name], "%s: it was given before", name)
		tokens[name] = held.Token
		all := slices.Repeat([]cloudsync.Event{{Kind: cloudsync.EventLog}}, events)
		seq, err := db.SyncState(name).Update(t.Context(), held.Token, []cloudsync.Entry{{Key: "token", Value: []byte(name)}}, all...)
		require.NoError(t, err)
		require.NoError(t, db.Locker().Release(t.Context(), held))
		return seq - int64(events) + 1
	}
	// told returns the events that a reader is told of before it hears that
	// others are gone.
	told := func(name string, after int64) (seqs []int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), proctest.Hangs)
		defer cancel()
		for e, err := range db.SyncState(name).Watch(ctx, after) {
			if err != nil {
				require.ErrorIs(t, err, cloudsync.ErrCompacted)
				return seqs
			}
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	save("kept", 3)
	save("quiet", 0)
	require.NoError(t, db.Backup(t.Context(), backup))
	save("kept", 2)
	save("quiet", 2)
	save("lost", 4)
	require.NoError(t, db.Close())
	require.NoError(t, sqlite.Restore(t.Context(), backup, c))

	db = open(t, c)
	stale := tokens["kept"]
	require.Equal(t, []int64{1, 2, 3}, told("kept", 0))
	for _, name := range []string{"kept", "quiet", "lost"} {
		require.Empty(t, told(name, 4), "at once: it may be another event by now")
	}
	require.Empty(t, told("quiet", 0))
	base, err := db.Base(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"kept", "quiet", "lost", "new"} {
		require.Equal(t, base+1, save(name, 2), "%s: with numbers that were never given", name)
		require.Equal(t, base+3, save(name, 1))
		for e, err := range db.SyncState(name).Watch(t.Context(), base) {
			require.NoError(t, err, "where the history begins a reader may begin")
			require.Equal(t, base+1, e.Seq)
			break
		}
		require.Empty(t, told(name, 4), "%s: it is of another history", name)
	}
	_, err = db.SyncState("kept").Update(t.Context(), stale, nil)
	require.ErrorIs(t, err, cloudsync.ErrStale, "who held the folder before is too late")
}
