package memory_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lease/leasetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/storagetest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

func TestSuites(t *testing.T) {
	storagetest.Run(t, storagetest.Harness{
		Open: func(testing.TB) storage.Backend { return memory.New() },
		Retain: func(_ testing.TB, r storage.Retention) storage.Backend {
			return memory.Open(memory.Config{Retention: r})
		},
		Histories: historytest.Unraced(10_000),
	})
}

func TestTheEngineNeedsNeitherSQLiteNorTesting(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		require.NotContains(t, []string{"testing", "database/sql"}, pkg)
		require.NotContains(t, pkg, "sqlite")
		require.NotContains(t, pkg, "testify")
	}
}

func BenchmarkEngine(b *testing.B) {
	leasetest.BenchmarkLocker(b, leasetest.Harness{
		Open: func(testing.TB) lease.Locker { return memory.New().Locker() },
	})
	updatetest.BenchmarkJournal(b, updatetest.Harness{
		Open: func(testing.TB) update.Journal { return memory.New().Journal() },
	})
}
