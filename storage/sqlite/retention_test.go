package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func TestTheEventsBeforeARestoreAreKeptLikeOthers(t *testing.T) {
	s := beginStory(t)
	for range 4 {
		s.live() // three events of rows, one of runs
	}
	first := s.info().Seq
	backup := s.backup()
	s.close()
	require.NoError(t, sqlite.Restore(t.Context(), backup, sqlite.Config{Path: s.path}))
	reopen := func(keep int) {
		var err error
		s.db, err = sqlite.Open(sqlite.Config{Path: s.path, Retention: storage.Retention{Events: keep}})
		require.NoError(t, err)
	}
	asOf := func() (err error) {
		for _, err = range s.db.Versions().Rows(t.Context(), shown, lv.View{AsOf: first - 1}) {
			break
		}
		return err
	}
	reopen(1000)
	for range 10 {
		s.live()
	}
	require.NoError(t, asOf(), "they are few enough")
	s.close()
	reopen(20)
	for range 12 {
		s.live()
	}
	require.ErrorIs(t, asOf(), lv.ErrCompacted, "they are too many")
	s.close()
	s.open()
	s.live()
	s.close()
}
