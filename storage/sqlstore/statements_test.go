package sqlstore_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// anyColumn finds what depends on how many columns a table has.
var anyColumn = regexp.MustCompile(`(?i)(SELECT|RETURNING|,)\s+(\w+\.)?\*|^\*$|INSERT INTO \w+( AS \w+)?\s*(VALUES|SELECT|DEFAULT)`)

// TestStatementsNameTheirColumns keeps what an older library needs to go on
// with tables that have got more columns.
func TestStatementsNameTheirColumns(t *testing.T) {
	for _, wrong := range []string{
		"SELECT * FROM upkeep_lease", "select r.* from t", "SELECT a, b.* FROM c", "*", "RETURNING *", "INSERT INTO t VALUES (?1)",
		"INSERT INTO upkeep_lease AS l\nSELECT 1",
	} {
		require.Regexp(t, anyColumn, wrong)
	}
	for _, right := range []string{"SELECT count(*) FROM t", "SELECT 2 * 3", "INSERT INTO t (a) VALUES (?1)", "INSERT INTO t AS l\n\t(a)\nVALUES (?1)"} {
		require.NotRegexp(t, anyColumn, right)
	}

	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	texts := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			require.NotRegexp(t, anyColumn, text, file)
			texts++
			return true
		})
	}
	require.Greater(t, texts, 200)
	files, err = filepath.Glob("*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(t, anyColumn, string(text), file)
	}
}

var (
	comment  = regexp.MustCompile(`--[^\n]*`)
	addition = regexp.MustCompile(`(?s)^(CREATE TABLE \w+ \(.*\) (\{end\}|\{keyed\})|CREATE INDEX \w+\s+ON \w+ .*|` +
		`ALTER TABLE \w+ ADD COLUMN \w+ (\{int\}|\{bytes\}|TEXT)( NOT NULL)?( DEFAULT ('[^']*'|\d+))?)$`)
)

// onlyAdds returns what a migration does beyond what it may do so that older
// libraries go on, or "".
func onlyAdds(script string) string {
	for statement := range strings.SplitSeq(comment.ReplaceAllString(script, ""), ";") {
		statement = strings.TrimSpace(statement)
		m := addition.FindStringSubmatch(statement)
		switch {
		case statement == "":
		case m == nil, m[4] != "" && m[5] == "": // a column that old statements would have to fill
			return statement
		}
	}
	return ""
}

func TestAMigrationThatLetsOlderLibrariesGoOnOnlyAdds(t *testing.T) {
	for script, want := range map[string]bool{
		"CREATE TABLE upkeep_lv_note (id {int} PRIMARY KEY, b TEXT UNIQUE) {end};": true,
		"-- why\nCREATE INDEX a\n\tON b (c) WHERE d > 0;":                          true,
		"ALTER TABLE a ADD COLUMN b {int} NOT NULL DEFAULT 0;":                     true,
		"ALTER TABLE a ADD COLUMN b TEXT;":                                         true,
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL;":                                false,
		"ALTER TABLE a ADD COLUMN b {int} UNIQUE;":                                 false,
		"ALTER TABLE a ADD COLUMN b {int} DEFAULT 0 CHECK (b > 0);":                false,
		"CREATE UNIQUE INDEX a ON b (c);":                                          false,
		"CREATE TRIGGER a BEFORE INSERT ON b BEGIN SELECT 1; END;":                 false,
		"ALTER TABLE a RENAME TO b;":                                               false,
		"ALTER TABLE a DROP COLUMN b;":                                             false,
		"DROP INDEX a;":                                                            false,
		"UPDATE a SET b = 1;":                                                      false,
		"CREATE TABLE a (b {int}) {end}; DELETE FROM c;":                           false,
	} {
		require.Equal(t, want, onlyAdds(script) == "", script)
	}

	names, err := fs.Glob(sqlstore.Migrations(), "*/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		data, err := fs.ReadFile(sqlstore.Migrations(), name)
		require.NoError(t, err)
		own := name[strings.Index(name, "/")+1:][:4]
		if !strings.Contains(string(data), fmt.Sprintf("\n-- oldest: %s\n", own)) {
			require.Empty(t, onlyAdds(string(data)), "%s does more than it may, so it is its own oldest", name)
		}
	}
}
