package upkeep_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/upkeep-go/upkeep"

// roles are the folders that are no domains.
var roles = []string{"benchmarks", "examples", "httpadapter", "internal", "lease", "storage", "testdata"}

// domains are the packages that may not know each other.
var domains = domainsAmong(rootFolders())

// rootFolders are those of the tree, but for hidden ones.
func rootFolders() (names []string) {
	entries, err := os.ReadDir(".")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// domainsAmong returns the folders that have no role of their own.
func domainsAmong(folders []string) []string {
	return slices.DeleteFunc(slices.Clone(folders), func(name string) bool { return slices.Contains(roles, name) })
}

func TestAFolderIsADomainOrHasARole(t *testing.T) {
	require.Equal(t, []string{"lv", "weather"}, domainsAmong([]string{"internal", "lease", "lv", "storage", "weather"}))
	require.Subset(t, domains, []string{"update", "lv"})
	require.Subset(t, rootFolders(), roles)
	for _, domain := range domains {
		require.FileExists(t, filepath.Join(domain, "doc.go"), "a folder of the root is a domain, or roles has it")
	}
}

// allowed are the modules that the root module may import outside of tests.
var allowed = []string{
	"github.com/coder/websocket",
	"github.com/hashicorp/go-version",
	"github.com/klauspost/compress",
	"golang.org/x/crypto",
	"golang.org/x/mod",
	"golang.org/x/sys",
	"modernc.org/sqlite",
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Dir, Doc string
	Imports              []string
	TestImports          []string
}

func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// isTest reports whether only tests use p.
func (p pkg) isTest() bool {
	return strings.HasSuffix(path.Base(p.ImportPath), "test")
}

func (p pkg) under(folder string) bool {
	return p.path() == folder || strings.HasPrefix(p.path(), folder+"/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := listed()
	require.NoError(t, err)
	return all
}

// listed asks the go command once, for all tests.
var listed = sync.OnceValues(func() (all []pkg, err error) {
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,TestImports", "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// inside returns the path of an import within this module, or false.
func inside(imported string) (string, bool) {
	return strings.CutPrefix(imported, module+"/")
}

func within(imported, folder string) bool {
	return imported == folder || strings.HasPrefix(imported, folder+"/")
}

// ofDomain reports whether p is in the folder of internal that is named for the
// domain that it imports.
func ofDomain(p pkg, to string) bool {
	return slices.ContainsFunc(domains, func(domain string) bool { return p.under("internal/"+domain) && within(to, domain) })
}

// wrongArrow says why p may not import what it imports, or "".
func wrongArrow(p pkg, imported string) string {
	to, ours := inside(imported)
	if !ours {
		standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
		switch {
		case imported == "testing" || strings.HasPrefix(imported, "testing/") || strings.HasPrefix(imported, "github.com/stretchr/"):
			if !p.isTest() && !p.under("examples") {
				return "only *test packages and _test.go files import it"
			}
		case !standard && !slices.ContainsFunc(allowed, func(m string) bool { return within(imported, m) }):
			return "the module is not one of those allowed"
		}
		return ""
	}
	if p.path() == "" {
		return "the root package imports nothing"
	}
	for _, domain := range domains {
		// What is internal to a domain and to the adapter.
		if own := "internal/" + domain; within(to, own) && !p.under(own) && !p.under(domain) && !p.under("httpadapter") {
			return "it is of another domain"
		}
		if !p.under(domain) {
			continue
		}
		if !within(to, domain) && !within(to, "lease") && !within(to, "internal") {
			return "a domain imports itself, lease and internal only"
		}
	}
	switch {
	case within(to, "examples") && !(within(to, "examples/internal") && p.under("examples")):
		return "nobody imports an example"
	case p.under("storage") && within(to, "httpadapter"):
		return "storage does not know the adapter"
	case p.under("httpadapter") && within(to, "storage"):
		return "the adapter does not know storage"
	case p.under("lease") && !within(to, "lease") && !within(to, "internal"):
		return "lease is below the domains"
	case p.under("internal") && !within(to, "internal") && to != "lease" && !ofDomain(p, to):
		return "internal packages know no domain"
	case strings.HasSuffix(to, "test") && !p.isTest():
		return "only *test packages import a suite"
	}
	return ""
}

func TestArrowsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if why := wrongArrow(p, imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
	}
}

func TestAWrongArrowIsSeen(t *testing.T) {
	for _, wrong := range [][2]string{
		{"", "/update"},
		{"/update", "/storage/memory"},
		{"/update", "/httpadapter"},
		{"/update/step", "/storage/sqlite"},
		{"/storage/sqlite", "/httpadapter"},
		{"/httpadapter", "/storage/memory"},
		{"/httpadapter", "/examples/server"},
		{"/httpadapter", "/examples/internal/load"},
		{"/examples/embed", "/examples/server"},
		{"/internal/feed", "/update"},
		{"/internal/feed", "/lease/leasetest"},
		{"/internal/lv/wire", "/update"},
		{"/internal/feed", "/internal/lv/wire"},
		{"/update", "/internal/lv/wire"},
		{"/storage/memory", "/internal/lv/wire"},
		{"/lease", "/update"},
		{"/lease", "/storage/memory"},
		{"/storage/memory", "/update/updatetest"},
	} {
		require.NotEmpty(t, wrongArrow(pkg{ImportPath: module + wrong[0]}, module+wrong[1]), wrong)
	}
	require.NotEmpty(t, wrongArrow(pkg{ImportPath: module + "/update"}, "testing"))
	require.NotEmpty(t, wrongArrow(pkg{ImportPath: module + "/update"}, "github.com/jackc/pgx/v5"))
	require.Empty(t, wrongArrow(pkg{ImportPath: module + "/storage/sqlite"}, module+"/update"))
	require.Empty(t, wrongArrow(pkg{ImportPath: module + "/update/updatetest"}, "testing"))
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// parsed are the files that a test has read.
var parsed = map[string]struct {
	file *ast.File
	fset *token.FileSet
}{}

// sources calls f for every Go file that go list knows and is no test.
func sources(t *testing.T, f func(p pkg, name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	for _, p := range packages(t) {
		names, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			s, seen := parsed[name]
			if !seen {
				s.fset = token.NewFileSet()
				s.file, err = parser.ParseFile(s.fset, name, nil, parser.ParseComments)
				require.NoError(t, err)
				parsed[name] = s
			}
			f(p, name, s.file, s.fset)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	sources(t, func(p pkg, name string, file *ast.File, fset *token.FileSet) {
		for _, decl := range file.Decls {
			for _, missing := range undocumented(decl) {
				t.Errorf("%s: %s has no comment", fset.Position(decl.Pos()), missing)
			}
		}
	})
}

// undocumented returns the exported names of decl that have no comment. Methods
// that an interface asks for are documented there, so only functions, types
// and methods of exported types that are not one line are looked at.
func undocumented(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) && !obvious(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Names[0].Name)
				}
			}
		}
		return names
	}
	return nil
}

func exportedReceiver(d *ast.FuncDecl) bool {
	expr := d.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return ok && name.IsExported()
}

// obvious are methods whose meaning the standard library gives.
func obvious(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "String")
}

func TestFilesAndInterfacesStaySmall(t *testing.T) {
	sources(t, func(p pkg, name string, file *ast.File, fset *token.FileSet) {
		if lines := fset.Position(file.End()).Line; lines > 400 {
			t.Errorf("%s has %d lines, at most 400 are allowed", name, lines)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
				if lines > 60 {
					t.Errorf("%s: %s has %d lines, at most 60 are allowed", fset.Position(n.Pos()), n.Name.Name, lines)
				}
			case *ast.TypeSpec:
				if p.ImportPath == module+"/storage" && n.Name.Name == "Backend" {
					return false // it only hands out, and grows with the domains
				}
			case *ast.InterfaceType:
				if n.Methods.NumFields() > 8 {
					t.Errorf("%s: an interface of %d methods, at most 8 are allowed", fset.Position(n.Pos()), n.Methods.NumFields())
				}
			}
			return true
		})
	})
}
