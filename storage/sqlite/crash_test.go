package sqlite_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

func init() {
	// acknowledge creates runs and says so of each.
	roles["acknowledge"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			id := fmt.Sprint(args[1], "-", i)
			if err := create(db, id, 100); err != nil {
				return err
			}
			fmt.Println(id)
		}
	}
}

func TestWhatWasAcknowledgedSurvivesTheDeathOfTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	var acknowledged []string
	survivor := roles.Start(t, "acknowledge", path, "survivor")
	acknowledged = append(acknowledged, survivor.Line())
	for round := range 5 {
		c := roles.Start(t, "acknowledge", path, fmt.Sprint("round-", round))
		acknowledged = append(acknowledged, c.Line())
		time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Millisecond))))
		acknowledged = append(acknowledged, c.Kill()...)
	}
	acknowledged = append(acknowledged, survivor.Kill()...)

	db := open(t, sqlite.Config{Path: path})
	there := map[string]bool{}
	for _, id := range runs(t, db) {
		there[id] = true
	}
	for _, id := range acknowledged {
		require.True(t, there[id], "%s was acknowledged", id)
	}
	require.LessOrEqual(t, len(there), len(acknowledged)+6, "at most the last of each process was not acknowledged")
	require.NoError(t, db.Backup(t.Context(), filepath.Join(t.TempDir(), "check.db")), "it is whole")
}

// loggedFiles makes a database whose writes are all in its log, as a process leaves
// it that was killed.
func loggedFiles(t *testing.T) (db, wal []byte) {
	path := filepath.Join(t.TempDir(), "state.db")
	c := roles.Start(t, "save", path)
	require.Equal(t, "saved", c.Line())
	c.Kill()
	db, err := os.ReadFile(path)
	require.NoError(t, err)
	wal, err = os.ReadFile(path + "-wal")
	require.NoError(t, err)
	return db, wal
}

const saves = 12

func init() {
	// save saves a run again and again, each time with an event.
	roles["save"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		run := update.Run{ID: "run", Package: "demo", Item: "core", Token: 1, State: update.StateRunning}
		run.Steps = []update.StepRecord{{Name: "step", Data: make([]byte, 5000)}}
		e := update.Event{Kind: update.EventStep, Step: "step"}
		if run, err = db.Journal().Create(context.Background(), run, e); err != nil {
			return err
		}
		for range saves - 1 {
			run.Steps[0].Attempt++
			if run, err = db.Journal().Save(context.Background(), run, e); err != nil {
				return err
			}
		}
		fmt.Println("saved")
		return proctest.Forever()
	}
}

// savesIn opens a database that lost the end of its log, and returns how many
// saves are in it: each whole or not at all.
func savesIn(t *testing.T, db, wal []byte) int {
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path, db, 0o600))
	require.NoError(t, os.WriteFile(path+"-wal", wal, 0o600))
	d, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	run, err := d.Journal().Get(t.Context(), "run")
	if err != nil {
		require.ErrorIs(t, err, update.ErrNotFound)
	} else {
		require.EqualValues(t, run.Rev-1, run.Steps[0].Attempt)
	}
	events := 0
	if run.Rev > 0 {
		for e, err := range d.Journal().Watch(t.Context(), 0) {
			require.NoError(t, err)
			events++
			require.EqualValues(t, events, e.Seq)
			if e.Seq == run.Rev {
				break
			}
		}
	}
	return events
}

func TestALogThatLostItsEndHasAPrefixOfTheCommits(t *testing.T) {
	t.Parallel()
	db, wal := loggedFiles(t)
	page := int(binary.BigEndian.Uint32(wal[8:])) // of the log's header, 32 bytes
	frame := 24 + page
	require.Greater(t, len(wal), 40*frame)
	frames := (len(wal) - 32) / frame

	before := 0
	for i := range frames + 1 {
		end := 32 + i*frame
		whole := savesIn(t, db, wal[:end])
		require.GreaterOrEqual(t, whole, before, "frame %d", i)
		require.LessOrEqual(t, whole, before+1, "frame %d", i)
		before = whole
		if end < len(wal) && i%5 == 0 {
			torn := end + 1 + rand.IntN(frame-1)
			require.Equal(t, whole, savesIn(t, db, wal[:torn]), "torn in frame %d", i+1)
			flipped := append([]byte(nil), wal...)
			flipped[torn-1] ^= 1
			require.Equal(t, whole, savesIn(t, db, flipped), "a bit flipped in frame %d", i+1)
		}
	}
	require.Equal(t, saves, before, "a whole log has everything")
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path, db, 0o600))
	_, err := sqlite.Open(sqlite.Config{Path: path})
	require.ErrorIs(t, err, storage.ErrCorrupt, "without its log")
}
