package upkeep_test

import (
	"go/ast"
	"go/build/constraint"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fileName finds the names of Go files, perhaps with a star, in a comment.
var fileName = regexp.MustCompile(`[\w*/.-]*[\w*]\.go\b`)

// missingFiles returns the files that a comment names and that are neither in
// the folder of its package nor below that of the module.
func missingFiles(dir, comment string) (missing []string) {
	for _, name := range fileName.FindAllString(comment, -1) {
		here, _ := filepath.Glob(filepath.Join(dir, name))
		there, _ := filepath.Glob(name)
		if len(here)+len(there) == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// TestAReadingOrderNamesWhatIsThere: a package comment says which file to read
// first.
func TestAReadingOrderNamesWhatIsThere(t *testing.T) {
	sources(t, func(p pkg, name string, file *ast.File, _ *token.FileSet) {
		if file.Doc != nil {
			require.Empty(t, missingFiles(p.Dir, file.Doc.Text()), name)
		}
	})
	require.Equal(t, []string{"none.go", "update/none_*.go"},
		missingFiles("update", "Read doc.go, none.go, lv/doc.go, step/command_*.go and update/none_*.go."))
}

// systems are what a build tag may name. Unix is all of them but windows.
var systems = []string{"linux", "darwin", "freebsd", "windows", "unix"}

// otherSystems returns what a build constraint says of other systems.
func otherSystems(line string) (others []string) {
	expression, err := constraint.Parse(line)
	if err != nil {
		return []string{err.Error()}
	}
	expression.Eval(func(tag string) bool {
		if !slices.Contains(systems, tag) {
			others = append(others, tag)
		}
		return false
	})
	if strings.Contains(line, "!") {
		others = append(others, "all but some")
	}
	return others
}

// TestNoFileIsForASystemThatNobodyBuilds: a tag names the systems that it is
// for, so that it is not true of one that nobody has thought of.
func TestNoFileIsForASystemThatNobodyBuilds(t *testing.T) {
	require.NoError(t, filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); constraint.IsGoBuild(line) {
				require.Empty(t, otherSystems(line), path)
			}
			if strings.HasPrefix(line, "package ") {
				break
			}
		}
		return nil
	}))
	require.Empty(t, otherSystems("//go:build darwin || freebsd"))
	require.NotEmpty(t, otherSystems("//go:build !linux"))
	require.NotEmpty(t, otherSystems("//go:build darwin || netbsd"))
}
