package tempdirtest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tempdirtest"
)

func TestWhoNeedsADiskOrHasChosenOneKeepsIt(t *testing.T) {
	for _, tt := range []struct{ name, value, dir string }{
		{"UPKEEP_FULL", "1", ""}, {"UPKEEP_HUGE", "1", ""}, {"UPKEEP_FULL", "", "/somewhere"},
	} {
		t.Setenv("UPKEEP_FULL", "")
		t.Setenv("UPKEEP_HUGE", "")
		t.Setenv("TMPDIR", tt.dir)
		t.Setenv(tt.name, tt.value)
		tempdirtest.InMemory()
		require.Equal(t, tt.dir, os.Getenv("TMPDIR"), "%+v", tt)
	}
}

func TestWhatMeasuresNeedsADisk(t *testing.T) {
	for _, name := range []string{"UPKEEP_FULL", "UPKEEP_HUGE", "TMPDIR"} {
		t.Setenv(name, "")
	}
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{args[0], "-test.bench=."}
	tempdirtest.InMemory()
	require.Empty(t, os.Getenv("TMPDIR"))
}

func TestFilesCanBeMadeWhereTestsWork(t *testing.T) {
	for _, name := range []string{"UPKEEP_FULL", "UPKEEP_HUGE", "TMPDIR"} {
		t.Setenv(name, "")
	}
	tempdirtest.InMemory()
	require.NoError(t, os.WriteFile(t.TempDir()+"/file", nil, 0o600))
	require.NotEmpty(t, tempdirtest.Disk())
}
