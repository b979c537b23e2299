package step_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

// shopDB is a database with foreign keys: two shops, and orders of theirs.
func shopDB(t *testing.T, pragmas ...string) *sql.DB {
	db := openDB(t, filepath.Join(t.TempDir(), "shop.db"), append(pragmas, "busy_timeout(5000)")...)
	execSQL(t, db, "CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT)",
		"CREATE TABLE orders (shop INTEGER REFERENCES shop ON DELETE CASCADE, what TEXT)",
		"INSERT INTO shop VALUES (1, 'one'), (2, 'two')", "INSERT INTO orders VALUES (1, 'tea'), (2, 'milk')")
	return db
}

const rebuild = `CREATE TABLE shop_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO shop_new SELECT * FROM shop;
DROP TABLE shop;
ALTER TABLE shop_new RENAME TO shop;
`

func TestMigrateSQLKeepsChildRowsWhenATableIsMadeAnew(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"as people write it":      "PRAGMA foreign_keys=OFF;\n" + rebuild + "PRAGMA foreign_keys=ON;",
		"with a transaction less": "PRAGMA foreign_keys = 0; " + rebuild,
		"as drizzle does": strings.ReplaceAll("PRAGMA foreign_keys=OFF;\n"+rebuild+"PRAGMA foreign_keys=ON;\n", ";\n", ";--> statement-breakpoint\n") +
			"CREATE INDEX orders_shop ON orders (shop);",
		"as drizzle does for two tables": "CREATE TABLE first (x);PRAGMA foreign_keys=OFF;\n" + rebuild + "PRAGMA foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n" +
			"CREATE TABLE orders_new (shop INTEGER REFERENCES shop ON DELETE CASCADE, what TEXT, more TEXT);\nINSERT INTO orders_new SELECT *, 'x' FROM orders;\n" +
			"DROP TABLE orders;\nALTER TABLE orders_new RENAME TO orders;\nPRAGMA foreign_keys=ON;",
		"as atlas does":         "-- Disable the enforcement of foreign-keys constraints\nPRAGMA foreign_keys = off;\n" + rebuild + "-- Enable back the enforcement of foreign-keys constraints\nPRAGMA foreign_keys = on;\n",
		"as Prisma does":        "-- RedefineTables\nPRAGMA defer_foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n" + rebuild + "PRAGMA foreign_key_check(\"shop\");\nPRAGMA foreign_keys=ON;\nPRAGMA defer_foreign_keys=OFF;\n",
		"with other spellings":  "pragma main.\"Foreign_Keys\" /* not now */ ('false');" + rebuild + "PRAGMA foreign_keys(yes)",
		"off in the middle":     "CREATE TABLE x (y);\nPRAGMA [foreign_keys] = no;\n" + rebuild,
		"a byte order mark too": "\ufeffPRAGMA foreign_keys=OFF;\n" + rebuild,
	}
	for name, text := range tests {
		for _, keys := range []string{"0", "1"} {
			t.Run(name+", with foreign_keys "+keys, func(t *testing.T) {
				db := shopDB(t, "foreign_keys("+keys+")")
				db.SetMaxOpenConns(1)
				m := migrate(db, map[string]string{"0001_anew.sql": text})
				require.NoError(t, m.Check(t.Context(), task("one", "1.0.0")))
				require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
				require.Equal(t, []string{"tea", "milk"}, values(t, db, "SELECT what FROM orders JOIN shop ON shop.id = orders.shop"))
				require.Equal(t, []string{"1"}, values(t, db, `SELECT "notnull" FROM pragma_table_info('shop') WHERE name = 'name'`))
				require.Equal(t, []string{keys}, values(t, db, "PRAGMA foreign_keys"), "the setting is back")
			})
		}
	}
}

func TestMigrateSQLChecksForeignKeysBeforeItCommits(t *testing.T) {
	tests := []struct {
		name, before, file, message string
	}{
		{"a row that was lost on the way", "", "PRAGMA foreign_keys=OFF;" + rebuild + "DELETE FROM shop WHERE id = 2;", `1 rows of table "orders", 0 before the file, without their row in "shop"`},
		{"a table that was lost", "", "PRAGMA foreign_keys=OFF; DROP TABLE shop;", `2 rows of table "orders"`},
		{"more than before", "INSERT INTO orders VALUES (9, 'old')", "PRAGMA foreign_keys=OFF;" + rebuild + "DELETE FROM shop WHERE id = 2; PRAGMA foreign_keys=ON;", `2 rows of table "orders", 1 before`},
		{"as many as before", "INSERT INTO orders VALUES (9, 'old')", "PRAGMA foreign_keys=OFF;" + rebuild, ""},
		{"as many as before, under other numbers", "INSERT INTO orders VALUES (9, 'old'), (1, 'late'); DELETE FROM orders WHERE what = 'tea'",
			"PRAGMA foreign_keys=OFF; CREATE TABLE o (shop INTEGER REFERENCES shop, what TEXT); INSERT INTO o SELECT * FROM orders; DROP TABLE orders; ALTER TABLE o RENAME TO orders;", ""},
		{"as many as before, under another name", "INSERT INTO orders VALUES (9, 'old')", "PRAGMA foreign_keys=OFF; ALTER TABLE orders RENAME TO bought;", ""},
		{"fewer than before", "INSERT INTO orders VALUES (9, 'old'), (8, 'older')", "PRAGMA foreign_keys=OFF; DELETE FROM orders WHERE shop = 8;", ""},
		{"a check that could not be made before", "CREATE TABLE odd (x REFERENCES orders (what)); INSERT INTO odd VALUES ('tea')", "PRAGMA foreign_keys=OFF;" + rebuild, ""},
		{"a check that cannot be made any more", "", "PRAGMA foreign_keys=OFF; CREATE TABLE odd (x REFERENCES orders (what)); INSERT INTO odd VALUES ('tea')", "foreign_key_check"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := shopDB(t, "foreign_keys(0)")
			execSQL(t, db, tt.before)
			before := values(t, db, "SELECT sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'upkeep_%'")
			err := migrate(db, map[string]string{"0001_anew.sql": tt.file}).Do(t.Context(), task("one", "1.0.0"))
			if tt.message == "" {
				require.NoError(t, err)
				require.Equal(t, []string{"0001_anew.sql"}, recorded(t, db))
				return
			}
			require.ErrorContains(t, err, tt.message)
			require.Empty(t, recorded(t, db))
			require.Equal(t, before, values(t, db, "SELECT sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'upkeep_%'"))
			require.Equal(t, []string{"1", "2"}, values(t, db, "SELECT id FROM shop"))
		})
	}
}

func TestMigrateSQLTurnsForeignKeysOnForAFileThatWantsThem(t *testing.T) {
	db := shopDB(t, "foreign_keys(0)")
	m := migrate(db, map[string]string{"0001_a.sql": "PRAGMA foreign_keys = ON; DELETE FROM shop WHERE id = 2;"})
	require.NoError(t, m.Do(t.Context(), task("one", "1.0.0")))
	require.Equal(t, []string{"tea"}, values(t, db, "SELECT what FROM orders"))
	require.Equal(t, []string{"0"}, values(t, db, "PRAGMA foreign_keys"))
}

func TestMigrateSQLDefersForeignKeysAsSQLiteDoes(t *testing.T) {
	const swap = "UPDATE shop SET id = 3 WHERE id = 2; UPDATE orders SET shop = 3 WHERE shop = 2;"
	for text, message := range map[string]string{
		swap:                                     "FOREIGN KEY constraint failed",
		"PRAGMA defer_foreign_keys = ON;" + swap: "",
		"PRAGMA defer_foreign_keys = ON; UPDATE shop SET id = 3 WHERE id = 2;": "FOREIGN KEY constraint failed",
	} {
		db := shopDB(t, "foreign_keys(1)")
		err := migrate(db, map[string]string{"0001_a.sql": text}).Do(t.Context(), task("one", "1.0.0"))
		if message == "" {
			require.NoError(t, err)
			require.Equal(t, []string{"1", "3"}, values(t, db, "SELECT shop FROM orders"))
			continue
		}
		require.ErrorContains(t, err, message)
		require.Equal(t, []string{"1", "2"}, values(t, db, "SELECT id FROM shop"))
	}
}

func TestMigrateSQLGoesBackPastATableMadeAnew(t *testing.T) {
	db := shopDB(t, "foreign_keys(1)")
	s := step.SQLite{DB: db, Dir: t.TempDir()}
	m := step.MigrateSQL(step.Migrations{DB: db, Backup: s, Files: fixed(map[string]string{
		"0001_anew.sql":   "PRAGMA foreign_keys=OFF;" + rebuild + "PRAGMA foreign_keys=ON;",
		"0002_orders.sql": "DELETE FROM shop WHERE id = 1;",
	})})
	tk := task("one", "1.0.0")
	require.NoError(t, m.Do(t.Context(), tk))
	require.Equal(t, []string{"milk"}, values(t, db, "SELECT what FROM orders"), "the next file has foreign keys")
	require.NoError(t, m.Undo(t.Context(), tk))
	require.Equal(t, []string{"tea", "milk"}, values(t, db, "SELECT what FROM orders"))
	require.Equal(t, []string{"0"}, values(t, db, `SELECT "notnull" FROM pragma_table_info('shop') WHERE name = 'name'`))
}
