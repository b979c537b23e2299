package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func init() {
	// publish saves and publishes rows by several goroutines, and says of each
	// the row, the version and the event once it is acknowledged.
	roles["publish"] = func(args []string) error {
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		var publishers sync.WaitGroup
		var out sync.Mutex
		for p := range 4 {
			publishers.Go(func() {
				for i := 0; ; i++ {
					row := fmt.Sprint("row ", i%5)
					r, err := saveAndPublish(db.Versions(), row, fmt.Sprint(args[1], p, i))
					out.Lock()
					if err != nil {
						fmt.Println("error:", err)
					} else {
						fmt.Printf("%s,%d,%d\n", row, r.Changes[0].To, r.Seq)
					}
					out.Unlock()
				}
			})
		}
		publishers.Wait()
		return nil
	}
}

// saveAndPublish publishes exactly what it has saved.
func saveAndPublish(s lv.VersionStore, row, title string) (lv.Release, error) {
	saved, err := s.Write(context.Background(), pages, []lv.Edit{saving(row, title)}, by)
	if err != nil {
		return lv.Release{}, err
	}
	return s.PutRelease(context.Background(), pages, lv.Release{
		State: lv.ReleaseApplied, Changes: []lv.Change{{Row: row, To: saved[0].ID}},
	}, by)
}

func TestEveryAcknowledgedPublicationSurvivesTheDeathOfTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	var acknowledged []string
	for round := range 5 {
		c := roles.Start(t, "publish", path, fmt.Sprint(round))
		acknowledged = append(acknowledged, c.Line())
		time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
		acknowledged = append(acknowledged, c.Kill()...)
	}

	db := open(t, sqlite.Config{Path: path})
	events := allEvents(t, db.Versions())
	requireOneOrder(t, db.Versions(), events)
	for i, line := range acknowledged {
		row, to, seq, whole := parse(line)
		if !whole {
			require.NotContains(t, line, "error", "line %d", i)
			continue // killed while it was written
		}
		require.LessOrEqual(t, seq, int64(len(events)), "event %d was acknowledged", seq)
		e := events[seq-1]
		require.Equal(t, lv.EventReleased, e.Kind)
		require.Equal(t, []any{row, to}, []any{e.Rows[0].Row, e.Rows[0].To})
	}
	require.NoError(t, db.Backup(t.Context(), filepath.Join(t.TempDir(), "check.db")), "it is whole")
}

// parse reads what the role publish says.
func parse(line string) (row string, to lv.VersionID, seq int64, whole bool) {
	parts := strings.Split(line, ",")
	if len(parts) != 3 {
		return "", 0, 0, false
	}
	version, err1 := strconv.ParseInt(parts[1], 10, 64)
	seq, err2 := strconv.ParseInt(parts[2], 10, 64)
	return parts[0], lv.VersionID(version), seq, err1 == nil && err2 == nil
}

// allEvents returns the events of pages.
func allEvents(t *testing.T, s lv.VersionStore) (events []lv.Event) {
	t.Helper()
	var last int64
	for info, err := range s.Tables(t.Context(), pages) {
		require.NoError(t, err)
		last = info.Seq
	}
	for e, err := range s.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if events = append(events, e); e.Seq >= last {
			break
		}
	}
	return events
}

// requireOneOrder checks that each event goes on from where the one before
// has left its rows, and that all of them lead to what can be read.
func requireOneOrder(t *testing.T, s lv.VersionStore, events []lv.Event) {
	t.Helper()
	working, live := map[string]lv.VersionID{}, map[string]lv.VersionID{}
	var newest lv.VersionID
	for i, e := range events {
		require.EqualValues(t, i+1, e.Seq)
		for _, c := range e.Rows {
			at := live
			if e.Kind == lv.EventSaved {
				at = working
				require.Greater(t, c.To, newest, "ids of versions rise in the order of the events")
				newest = c.To
			}
			require.Equal(t, at[c.Row], c.From, "event %d", e.Seq)
			at[c.Row] = c.To
		}
	}
	require.Equal(t, working, pointers(t, s, lv.View{Working: true}))
	require.Equal(t, live, pointers(t, s, lv.View{}))
	for row, err := range s.Rows(t.Context(), pages, lv.View{Working: true}) {
		require.NoError(t, err)
		same := working[row.ID] == live[row.ID]
		require.Equal(t, same, row.Status == lv.StatusPublished, "%q", row.ID)
	}
}

func pointers(t *testing.T, s lv.VersionStore, v lv.View) map[string]lv.VersionID {
	t.Helper()
	all := map[string]lv.VersionID{}
	for row, err := range s.Rows(t.Context(), pages, v) {
		require.NoError(t, err)
		all[row.ID] = row.Version
	}
	return all
}

func init() {
	// take turns publishes a row now and then and says every event that it
	// sees, of any process.
	roles["take turns"] = func(args []string) error {
		const turns, processes = 40, 2
		db, err := openPatiently(args[0])
		if err != nil {
			return err
		}
		go func() {
			for turn := range turns {
				if _, err := saveAndPublish(db.Versions(), "row", fmt.Sprint(args[1], turn)); err != nil {
					fmt.Println("error:", err)
				}
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		}()
		for e, err := range db.Versions().Watch(context.Background(), 0) {
			if err != nil {
				return err
			}
			fmt.Printf("%d,%s,%d\n", e.Seq, e.Kind, e.Rows[0].To)
			if e.Seq == 2*turns*processes {
				return db.Close()
			}
		}
		return nil
	}
}

func TestTwoProcessesPublishInOneOrderThatBothSee(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	first, second := roles.Start(t, "take turns", path, "first"), roles.Start(t, "take turns", path, "second")
	seen := first.Rest()
	require.Len(t, seen, 160, seen)
	require.Equal(t, seen, second.Rest(), "both see one order")

	db := open(t, sqlite.Config{Path: path})
	requireOneOrder(t, db.Versions(), allEvents(t, db.Versions()))
}
