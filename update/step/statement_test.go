package step_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

func TestStatementsOfAFileAreFound(t *testing.T) {
	tests := []struct {
		name     string
		postgres bool
		text     string
		want     []string
	}{
		{"two", false, "SELECT 1;\n SELECT 2", []string{"1 SELECT 1", "2 SELECT 2"}},
		{"none", true, " ;-- x\n; /* ; */", nil},
		{"comments between and in them", false, "/* a;\n */ SELECT -- ;\n 1; -- SELECT 2;\nSELECT 3", []string{"2 SELECT -- ;\n 1", "4 SELECT 3"}},
		{"quotes", false, "SELECT ';', \";\", [;], `;`, 'it''s;'; SELECT 2", []string{"1 SELECT ';', \";\", [;], `;`, 'it''s;'", "1 SELECT 2"}},
		{"comments do not nest in SQLite", false, "SELECT /* /* */ 1; SELECT 2", []string{"1 SELECT /* /* */ 1", "1 SELECT 2"}},
		{"comments nest in PostgreSQL", true, "SELECT /* /* ; */ ; */ 1; SELECT 2", []string{"1 SELECT /* /* ; */ ; */ 1", "1 SELECT 2"}},
		{"a backslash is one", true, `SELECT '\'; SELECT 2`, []string{`1 SELECT '\'`, "1 SELECT 2"}},
		{"a backslash hides in an E string", true, `SELECT E'\';', e'\\'; SELECT 2`, []string{`1 SELECT E'\';', e'\\'`, "1 SELECT 2"}},
		{"a name that ends in e", true, `SELECT like'\'; SELECT 2`, []string{`1 SELECT like'\'`, "1 SELECT 2"}},
		{"dollar quotes", true, "DO $$ BEGIN; END $$; DO $a$ ;$$; $b$ $a$; SELECT a$b$c; SELECT $1;", []string{"1 DO $$ BEGIN; END $$", "1 DO $a$ ;$$; $b$ $a$", "1 SELECT a$b$c", "1 SELECT $1"}},
		{"a rule", true, "CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; SELECT 1); SELECT 2", []string{"1 CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; SELECT 1)", "1 SELECT 2"}},
		{"a body", true, "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2 AS end; END; SELECT 3",
			[]string{"1 CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2 AS end; END", "1 SELECT 3"}},
		{"a trigger", false, "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; /* x */ END; SELECT 3",
			[]string{"1 CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; /* x */ END", "1 SELECT 3"}},
		{"a trigger of PostgreSQL", true, "CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f(); SELECT 3", []string{"1 CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()", "1 SELECT 3"}},
		{"parentheses that do not match", true, "SELECT 1); SELECT 2", []string{"1 SELECT 1)", "1 SELECT 2"}},
		{"carriage returns", true, "SELECT 1; -- x\rSELECT 2;", []string{"1 SELECT 1", "1 SELECT 2"}},
		{"carriage returns of SQLite", false, "SELECT 1; -- x\rSELECT 2;", []string{"1 SELECT 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			texts, lines, err := step.Statements(tt.text, tt.postgres)
			require.NoError(t, err)
			var got []string
			for i, text := range texts {
				got = append(got, fmt.Sprint(lines[i], " ", text))
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func FuzzStatements(f *testing.F) {
	for _, text := range []string{
		first, rebuild, "SELECT 'a'';', E'\\';'; $$ ; $$", "CREATE TRIGGER t BEGIN SELECT 1; END;", "/* /* */ */; [;]", "-- upkeep: no transaction\nVACUUM", "$a$;$a", "\ufeff;", "(;);",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, postgres bool) {
		texts, lines, err := step.Statements(text, postgres)
		if err != nil {
			return
		}
		rest, line := text, 1
		for i, s := range texts {
			if s == "" { // only notes
				continue
			}
			at := strings.Index(rest, s)
			require.GreaterOrEqual(t, at, 0, "statements are parts of the text, in order")
			require.GreaterOrEqual(t, lines[i], line)
			line, rest = lines[i], rest[at+len(s):]
			again, _, err := step.Statements(s, postgres)
			require.NoError(t, err)
			require.Equal(t, []string{s}, again, "and each is one statement")
		}
	})
}

// FuzzMigrateSQL looks for files of which Check overlooks that they end their
// transaction, and for such as go unnoticed after that.
func FuzzMigrateSQL(f *testing.F) {
	for _, text := range endings {
		f.Add(text)
	}
	for _, text := range []string{first, rebuild, "CREATE TRIGGER t AFTER INSERT ON page BEGIN SELECT 1; END; COMMIT", "SELECT ']';[COMMIT];", "/* /* */ COMMIT", "\ufeffEND", "EXPLAIN COMMIT"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		db, err := sql.Open("sqlite", ":memory:")
		require.NoError(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		_, err = db.Exec("CREATE TABLE page (title TEXT)")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		m := migrate(db, map[string]string{"0001_a.sql": text})
		if err := m.Check(ctx, task("one", "1.0.0")); err != nil || strings.Contains(strings.ToLower(text), "upkeep") {
			return
		}
		err = m.Do(ctx, task("one", "1.0.0"))
		require.NotErrorIs(t, err, step.ErrHalfApplied)
		var state string
		found := db.QueryRow("SELECT state FROM upkeep_step_migration").Scan(&state)
		if err == nil {
			require.Equal(t, "applied", state)
		} else {
			require.ErrorIs(t, found, sql.ErrNoRows)
		}
	})
}
