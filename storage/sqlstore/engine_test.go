package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

// TestTheExampleIsAnEngine: it is copied by who writes one.
func TestTheExampleIsAnEngine(t *testing.T) {
	retain := func(t testing.TB, keep storage.Retention) storage.Backend {
		db, err := open(t.Context(), keep)
		require.NoError(t, err)
		return db
	}
	storagetest.Run(t, storagetest.Harness{
		Open:      func(t testing.TB) storage.Backend { return retain(t, storage.Retention{}) },
		Retain:    retain,
		Histories: 30,
	})
}
