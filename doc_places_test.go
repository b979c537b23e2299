package upkeep_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// place is a path that a page names, and the item of a list in which it does.
type place struct{ path, item string }

// conditional is a place that is not for every domain.
func (p place) conditional() bool { return strings.HasPrefix(p.item, "If ") }

// of returns the place for a domain or an engine.
func (p place) of(word, name string) string { return strings.ReplaceAll(p.path, word, name) }

// shared reports whether the place is one file for all.
func (p place) shared(word string) bool {
	return !strings.Contains(p.path, word) && path.Ext(p.path) != ""
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

// places returns the paths in backticks of a part of a page, or of all of it.
func places(t *testing.T, page, heading string) []place {
	t.Helper()
	text := read(t, page)
	if heading != "" {
		_, after, found := strings.Cut(text, "\n## "+heading+"\n")
		require.True(t, found, heading)
		text, _, _ = strings.Cut(after, "\n## ")
	}
	return placesIn(t, text)
}

// placesIn returns the paths in backticks of a text.
func placesIn(t *testing.T, text string) []place {
	t.Helper()
	var all []place
	for _, item := range strings.Split(text, "\n- ") {
		for _, q := range quoted.FindAllStringSubmatch(item, -1) {
			named := strings.Contains(q[1], "/") || slices.Contains([]string{".go", ".md"}, path.Ext(q[1]))
			if named && !strings.ContainsAny(q[1], " (") && !strings.HasPrefix(q[1], "testing/") {
				all = append(all, place{q[1], item})
			}
		}
	}
	require.NotEmpty(t, all, text)
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// there are the files that a place stands for.
func there(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(strings.TrimSuffix(pattern, "/"))
	require.NoError(t, err)
	return files
}

// speaks reports whether a text has name as a word.
func speaks(text, name string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(text)
}

// forgotten says what is missing in places for names, such as the domains.
func forgotten(t *testing.T, places []place, word string, names []string) (missing []string) {
	t.Helper()
	for _, p := range places {
		for _, name := range names {
			if p.conditional() && strings.Contains(p.path, word) {
				continue
			}
			files := there(t, p.of(word, name))
			switch {
			case len(files) == 0:
				missing = append(missing, p.of(word, name)+" is not there")
			case p.shared(word) && !p.conditional() && !speaks(read(t, p.path), name):
				missing = append(missing, p.path+" does not speak of "+name)
			}
		}
	}
	return missing
}

// ofCode returns the places of code outside a domain's folder that every domain
// has, or fills in. Its tests follow its code, its page the others.
func ofCode(places []place) (paths []string) {
	for _, p := range places {
		free := p.conditional() || strings.HasPrefix(p.path, "DOMAIN/") || strings.HasPrefix(p.path, "examples/") ||
			strings.HasSuffix(p.path, "_test.go") || strings.HasPrefix(p.item, "The pages")
		if !free && !slices.Contains(paths, p.path) {
			paths = append(paths, p.path)
		}
	}
	return paths
}

// unlisted returns the files outside a domain's folder that import it, or those
// of storage that name it or its tables, and are in no place. Examples, tests and
// benchmarks may import what they like.
func unlisted(t *testing.T, places []place, domain string, files []string) (all []string) {
	t.Helper()
	listed := map[string]bool{}
	for _, p := range places {
		for _, name := range there(t, p.of("DOMAIN", domain)) {
			listed[filepath.ToSlash(name)] = true
		}
	}
	for _, name := range files {
		free := strings.HasPrefix(name, domain+"/") || strings.HasSuffix(name, "_test.go") ||
			strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "benchmarks/") || strings.Contains(name, "testdata/")
		if free || listed[name] {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		if imports(file, domain) || strings.HasPrefix(name, "storage/") && names(file, domain) {
			all = append(all, name)
		}
	}
	return all
}

// imports reports whether a file imports a package of the domain.
func imports(file *ast.File, domain string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		to, ours := inside(strings.Trim(i.Path.Value, `"`))
		return ours && within(to, domain)
	})
}

// names reports whether a string of a file is the name of the domain or has that
// of one of its tables.
func names(file *ast.File, domain string) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if _, imports := n.(*ast.ImportSpec); imports {
			return false // a package of the standard library may have the name of a domain
		}
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
			found = found || text.Value == `"`+domain+`"` || strings.Contains(text.Value, "upkeep_"+domain)
		}
		return true
	})
	return found
}

// goFiles are the Go files of the tree, nested modules included.
func goFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if path.Ext(name) == ".go" {
			all = append(all, name)
		}
		return err
	}))
	return all
}

func TestEveryPlaceOfADomainIsListed(t *testing.T) {
	listed := places(t, "CONTRIBUTING.md", "To add a domain")
	require.Empty(t, forgotten(t, listed, "DOMAIN", domains))
	require.Len(t, ofCode(listed), 8, "a domain has eight places besides its folder: three files of all, and five that are its own")
	files := goFiles(t)
	for _, domain := range domains {
		require.Empty(t, unlisted(t, listed, domain, files), domain)
	}
}

func TestAForgottenPlaceIsSeen(t *testing.T) {
	listed := places(t, "CONTRIBUTING.md", "To add a domain")
	missing := forgotten(t, listed, "DOMAIN", []string{"weather"})
	for _, want := range []string{
		"weather/doc.go is not there", "storage/sqlstore/migrations/weather/ is not there",
		"storage/storage.go does not speak of weather", "README.md does not speak of weather",
	} {
		require.Contains(t, missing, want)
	}
	files := goFiles(t)
	without := slices.DeleteFunc(slices.Clone(listed), func(p place) bool { return p.path == "storage/memory/DOMAIN*.go" })
	require.Contains(t, unlisted(t, without, "lv", files), "storage/memory/lv_read.go")
	without = slices.DeleteFunc(slices.Clone(listed), func(p place) bool { return p.path == "storage/storage.go" })
	require.Equal(t, []string{"storage/storage.go"}, unlisted(t, without, "lv", files))
	without = slices.DeleteFunc(slices.Clone(listed), func(p place) bool { return p.path == "storage/sqlstore/DOMAIN*" })
	require.Contains(t, unlisted(t, without, "lv", files), "storage/sqlstore/lv_forget.go", "it imports nothing of lv, and has its tables")
	ninth := placesIn(t, "\n- Its engines: `storage/clay/clay.go`, which are all.")
	require.Equal(t, append(ofCode(listed), "storage/clay/clay.go"), ofCode(append(listed, ninth...)))
}

func TestEveryPlaceOfAnEngineIsListed(t *testing.T) {
	var engines []string // but for that of sqlstore, which is an example
	for _, name := range there(t, "storage/*/*_test.go") {
		folder := filepath.Base(filepath.Dir(name))
		if folder != "storagetest" && folder != "sqlstore" && strings.Contains(read(t, name), "storagetest.Run(") && !slices.Contains(engines, folder) {
			engines = append(engines, folder)
		}
	}
	require.Subset(t, engines, []string{"memory", "sqlite", "postgres"})
	var shared []place // the others are about some engines
	for _, p := range places(t, "CONTRIBUTING.md", "To add an engine") {
		if strings.Contains(p.path, "ENGINE") || strings.HasPrefix(p.item, "The pages") {
			shared = append(shared, p)
		}
	}
	require.Empty(t, forgotten(t, shared, "ENGINE", engines))
	require.NotEmpty(t, forgotten(t, shared, "ENGINE", []string{"clay"}))
}

// TestThePagesNameWhatIsThere: every path in backticks or in a link, and every
// package that a command names.
func TestThePagesNameWhatIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*[./][^)#:]*)\)`)
	command := regexp.MustCompile(`(?m)(?:^| )(\./[\w/-]+)`)
	for _, page := range []string{
		"README.md", "CONTRIBUTING.md", "benchmarks/README.md", "examples/server/README.md", "examples/selfupdate/README.md",
	} {
		for _, l := range link.FindAllStringSubmatch(read(t, page), -1) {
			require.NotEmpty(t, there(t, filepath.Join(filepath.Dir(page), l[1])), "%s: %s", page, l[1])
		}
		for _, c := range command.FindAllStringSubmatch(read(t, page), -1) {
			require.NotEmpty(t, there(t, c[1]), "%s: %s", page, c[1])
		}
	}
	for _, p := range places(t, "CONTRIBUTING.md", "") {
		if !strings.Contains(p.path, "DOMAIN") && !strings.Contains(p.path, "ENGINE") {
			require.NotEmpty(t, there(t, p.path), p.path)
		}
	}
}

// TestTheFiguresNameTheirMetrics: a metric of the page is one that a benchmark
// reports, and so are the benchmarks.
func TestTheFiguresNameTheirMetrics(t *testing.T) {
	var code strings.Builder
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "benchmark.go") {
			code.WriteString(read(t, name))
		}
	}
	rows := regexp.MustCompile("(?m)^\\| (?:`(Benchmark\\w+)`[^|]*)? *\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "benchmarks/README.md"), -1)
	require.Greater(t, len(rows), 30)
	for _, row := range rows {
		require.Contains(t, code.String(), "func "+row[1], row[0])
		require.Contains(t, code.String(), `"`+row[2]+`"`, row[0])
	}
}

// flush returns the lines of a text without what they are indented by.
func flush(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "")
}

// uncompiled returns the Go of a page that stands in no Go file: the blocks,
// but for how they are indented, and in sentences what mounts api or follows a
// run.
func uncompiled(t *testing.T, page string) (all []string) {
	t.Helper()
	var code strings.Builder
	for _, name := range goFiles(t) {
		code.WriteString(flush(read(t, name)))
	}
	blocks := regexp.MustCompile("(?s)\n```go\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, blocks)
	mounts := regexp.MustCompile("`([^`\\n]*\\b(?:api|run\\.ID\\))\\)[^`\\n]*)`").FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, mounts)
	for _, found := range append(blocks, mounts...) {
		if !strings.Contains(code.String(), flush(found[1])) {
			all = append(all, found[1])
		}
	}
	return all
}

func TestTheGoOfTheReadmeIsCompiled(t *testing.T) {
	page := read(t, "README.md")
	require.Empty(t, uncompiled(t, page), "the README shows Go that is in no example")
	require.NotEmpty(t, uncompiled(t, strings.Replace(page, "defer db.Close()", "defer db.Open()", 1)))
	require.NotEmpty(t, uncompiled(t, strings.Replace(page, "r.Mount(", "r.Handle(", 1)))
	require.NotEmpty(t, uncompiled(t, strings.Replace(page, "u.Follow(", "u.Watch(", 1)))
	require.LessOrEqual(t, strings.Count(page, "\n"), 150, "a first page is short")
	for line := range strings.Lines(page) {
		require.LessOrEqual(t, len(line), 210, "a long line is several: %s", line)
	}
}
