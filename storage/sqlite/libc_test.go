package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheLibcIsTheOneThatSQLiteWasBuiltFor guards against an upgrade of
// modernc.org/libc alone, which breaks modernc.org/sqlite.
func TestTheLibcIsTheOneThatSQLiteWasBuiltFor(t *testing.T) {
	goTool := func(args ...string) string {
		out, err := exec.Command("go", args...).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	mod, err := os.ReadFile(filepath.Join(goTool("list", "-m", "-f", "{{.Dir}}", "modernc.org/sqlite"), "go.mod"))
	require.NoError(t, err)
	want := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(mod)
	require.NotNil(t, want)
	require.Equal(t, string(want[1]), goTool("list", "-m", "-f", "{{.Version}}", "modernc.org/libc"))
}
