package sqlite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
	"github.com/upkeep-go/upkeep/update"
)

// feed is one of the two that a database has.
type feed struct {
	table     string
	compacted error
	happen    func(db *sqlite.DB, n int) error // leaves an event
	watch     func(ctx context.Context, db *sqlite.DB, after int64, yield func(seq int64, err error) bool)
}

var feeds = map[string]feed{
	"update": {
		"upkeep_update_event", update.ErrCompacted,
		func(db *sqlite.DB, n int) error { return create(db, fmt.Sprint("run", n), 0) },
		func(ctx context.Context, db *sqlite.DB, after int64, yield func(int64, error) bool) {
			db.Journal().Watch(ctx, after)(func(e update.Event, err error) bool { return yield(e.Seq, err) })
		},
	},
	"lv": {
		"upkeep_lv_event", lv.ErrCompacted,
		func(db *sqlite.DB, n int) error {
			edit := lv.Edit{Op: lv.OpSave, Row: "row", Content: fmt.Appendf(nil, "%d", n)}
			_, err := db.Versions().Write(context.Background(), lv.TableID{App: "app", Schema: "table"}, []lv.Edit{edit}, lv.By{Actor: "ada"})
			return err
		},
		func(ctx context.Context, db *sqlite.DB, after int64, yield func(int64, error) bool) {
			db.Versions().Watch(ctx, after)(func(e lv.Event, err error) bool { return yield(e.Seq, err) })
		},
	},
}

// seen is what a reader of a feed gets.
type seen struct {
	seq int64
	err error
}

// reader reads a feed until the test ends or the feed does.
func (f feed) reader(t *testing.T, db *sqlite.DB, after int64) <-chan seen {
	ctx, stop := context.WithCancel(context.Background())
	all, ended := make(chan seen, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		f.watch(ctx, db, after, func(seq int64, err error) bool { all <- seen{seq, err}; return true })
	}()
	t.Cleanup(func() { stop(); <-ended })
	return all
}

func next(t *testing.T, all <-chan seen) seen {
	t.Helper()
	select {
	case one := <-all:
		return one
	case <-time.After(proctest.Hangs):
		require.Fail(t, "nothing is told")
		return seen{}
	}
}

func TestAReaderNoticesThatTheDatabaseIsAnotherOne(t *testing.T) {
	exchanges := map[string][]string{
		"one that has not got so far": {"DELETE FROM {events} WHERE seq > 2"},
		"one that has got as far":     {"UPDATE {events} SET time_ms = time_ms - 1000 WHERE seq > 2"},
		"one that has got further": {
			"UPDATE {events} SET time_ms = time_ms - 1000 WHERE seq > 2",
			"CREATE TEMP TABLE one AS SELECT * FROM {events} WHERE seq = 4",
			"UPDATE one SET seq = 5", "INSERT INTO {events} SELECT * FROM one", "DROP TABLE one",
		},
		"an empty one": {"DELETE FROM {events}"},
	}
	for domain, f := range feeds {
		for name, statements := range exchanges {
			t.Run(domain+": "+name, func(t *testing.T) {
				db := open(t, sqlite.Config{Path: made(t)})
				for n := range 4 {
					require.NoError(t, f.happen(db, n))
				}
				all := f.reader(t, db, 0)
				for n := range 4 {
					require.Equal(t, seen{int64(n + 1), nil}, next(t, all))
				}
				require.NoError(t, db.Write(t.Context(), func(tx sqlstore.Tx) error {
					for _, s := range statements {
						if err := tx.Exec(strings.ReplaceAll(s, "{events}", f.table)); err != nil {
							return err
						}
					}
					return nil
				}))
				require.ErrorIs(t, next(t, all).err, f.compacted)
			})
		}
	}
}

func TestAReaderGoesOnWhenWhatItHasReadIsForgotten(t *testing.T) {
	for domain, f := range feeds {
		t.Run(domain, func(t *testing.T) {
			db := open(t, sqlite.Config{Path: made(t)})
			require.NoError(t, f.happen(db, 1))
			all := f.reader(t, db, 0)
			require.Equal(t, seen{1, nil}, next(t, all))
			require.NoError(t, f.happen(db, 2))
			require.Equal(t, seen{2, nil}, next(t, all))
			require.NoError(t, db.Write(t.Context(), func(tx sqlstore.Tx) error {
				return tx.Exec("DELETE FROM " + f.table + " WHERE seq = 1")
			}))
			require.NoError(t, f.happen(db, 3))
			require.Equal(t, seen{3, nil}, next(t, all))
			all = f.reader(t, db, 1)
			require.Equal(t, seen{2, nil}, next(t, all), "it may begin where the first one left is the next")
		})
	}
}
