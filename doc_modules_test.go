package upkeep_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheLibcIsTheOneSQLiteWasBuiltFor: another one may crash, since the two
// are generated together.
func TestTheLibcIsTheOneSQLiteWasBuiltFor(t *testing.T) {
	graph, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}} {{.Version}} {{.Dir}}",
		"modernc.org/sqlite", "modernc.org/libc").Output()
	require.NoError(t, err)
	fields := strings.Fields(string(graph))
	require.Len(t, fields, 6)
	wanted, err := os.ReadFile(filepath.Join(fields[2], "go.mod"))
	require.NoError(t, err)
	require.Contains(t, string(wanted), "modernc.org/libc "+fields[4]+"\n")
}

// TestASmallProgramStaysSmall: who wants updates over memory, from a fixed list
// of versions, gets neither SQLite nor an HTTP client.
func TestASmallProgramStaysSmall(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "small")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./testdata/small")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	info, err := os.Stat(binary)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(3_200_000))
}

// heavy are packages of the side that acts on the world, as patterns of the go
// command: what keeps state, and the domains that it is kept for, do without.
var heavy = []string{
	"net", "net/http/...", "crypto/tls", "database/sql",
	"compress/...", "archive/...", "github.com/klauspost/...",
	// key derivation
	"crypto/hkdf", "crypto/pbkdf2", "crypto/internal/fips140/hkdf", "crypto/internal/fips140/pbkdf2",
	"golang.org/x/crypto/argon2", "golang.org/x/crypto/hkdf", "golang.org/x/crypto/pbkdf2", "golang.org/x/crypto/scrypt",
	"modernc.org/...", "github.com/stretchr/...", "testing/...",
}

func isHeavy(imported string) bool {
	return slices.ContainsFunc(heavy, func(pattern string) bool {
		folder, tree := strings.CutSuffix(pattern, "/...")
		return imported == folder || tree && within(imported, folder)
	})
}

// TestMemoryIsLight: it is the fake of everybody's tests, and each program that
// embeds a domain links what the domains import.
func TestMemoryIsLight(t *testing.T) {
	for _, root := range []string{"./storage/memory", "./update/source", "./testdata/small"} {
		deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", root).Output()
		require.NoError(t, err)
		for imported := range strings.FieldsSeq(string(deps)) {
			if isHeavy(imported) {
				t.Errorf("%s needs %s", root, imported)
			}
		}
	}
}

// TestASmallProgramMakesNoTableWhenItStarts looks at what each of our packages
// allocates before main: a few names and short patterns, and no more.
func TestASmallProgramMakesNoTableWhenItStarts(t *testing.T) {
	run := exec.CommandContext(t.Context(), "go", "run", "-trimpath", "./testdata/small")
	run.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	run.Stderr = &trace // of the go command as well
	require.NoError(t, run.Run(), trace.String())
	seen := 0
	for line := range strings.Lines(trace.String()) {
		before, _, _ := strings.Cut(line, " bytes, ") // "init <package> @1.0 ms, 0.1 ms clock, 4096 bytes, 12 allocs"
		words := strings.Fields(before)
		if len(words) < 3 || words[0] != "init" || !within(words[1], module) {
			continue
		}
		seen++
		size, err := strconv.Atoi(words[len(words)-1])
		require.NoError(t, err, line)
		if size > 32<<10 {
			t.Errorf("%s allocates %d bytes before main, at most %d are allowed", words[1], size, 32<<10)
		}
	}
	require.NotZero(t, seen, trace.String())
}

// TestTheTourSaysWhatAProgramLinks counts the modules besides this one.
func TestTheTourSaysWhatAProgramLinks(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	tour := strings.ReplaceAll(string(text), "\n// ", " ")
	for _, tt := range []struct {
		program string
		modules int
		says    string
	}{
		{"./testdata/small", 2, "over storage/memory links two modules besides this one"},
		{"./storage/sqlite", 9, "over storage/sqlite nine"},
	} {
		require.Contains(t, tour, tt.says)
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", tt.program).Output()
		require.NoError(t, err)
		linked := strings.Fields(string(out))
		slices.Sort(linked)
		linked = slices.Compact(linked)
		require.Len(t, linked, tt.modules+1, linked)
	}
}

func TestTheRootKnowsNoHeavyClient(t *testing.T) {
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(text), "jackc/pgx")
	}
}

func TestEveryNestedModuleUsesThisTree(t *testing.T) {
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "go.mod" || name == "go.mod" {
			return err
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		up := strings.Repeat("../", strings.Count(name, "/"))
		require.Contains(t, string(text), module+" => "+strings.TrimSuffix(up, "/"), name)
		return nil
	}))
}

// TestTheReadmeNamesTheSystemsThatAreBuilt compares it with what CI builds.
func TestTheReadmeNamesTheSystemsThatAreBuilt(t *testing.T) {
	ci, err := os.ReadFile(".ci/run")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(ci), "for system in ")
	list, _, _ = strings.Cut(list, ";")
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, named, _ := strings.Cut(string(readme), "Built besides: ")
	named, _, _ = strings.Cut(named, ".")
	require.NotEmpty(t, list)
	require.Equal(t, strings.Fields(list), strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(named)))
}
