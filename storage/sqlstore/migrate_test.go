package sqlstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

func file(script string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(script)} }

func TestMigrationsAreDoneOnceAndInOrder(t *testing.T) {
	s := &schema{}
	files := fstest.MapFS{"0001_one.sql": file("one"), "0002_two.sql": file("two")}
	require.NoError(t, sqlstore.Migrate(t.Context(), s.write, files))
	require.NoError(t, sqlstore.Migrate(t.Context(), s.write, files))
	require.Equal(t, []string{"one", "two"}, s.scripts)
	files["0003_three.sql"] = file("three")
	require.NoError(t, sqlstore.Migrate(t.Context(), s.write, files))
	require.Equal(t, []string{"one", "two", "three"}, s.scripts)
}

func TestMigrationsOfAnotherProcessCount(t *testing.T) {
	s := &schema{}
	files := fstest.MapFS{"0001_one.sql": file("one"), "0002_two.sql": file("two"), "0003_three.sql": file("three")}
	once := false
	write := func(ctx context.Context, f func(sqlstore.Tx) error) error {
		if err := s.write(ctx, f); err != nil || once {
			return err
		}
		once = true
		return sqlstore.Migrate(ctx, s.write, files) // the other process
	}
	require.NoError(t, sqlstore.Migrate(t.Context(), write, files))
	require.Equal(t, []string{"one", "two", "three"}, s.scripts)
}

func TestMigrationsAreRefused(t *testing.T) {
	two := fstest.MapFS{"0001_one.sql": file("one"), "0002_two.sql": file("two")}
	tests := []struct {
		name  string
		files fstest.MapFS
		want  error
	}{
		{"a newer schema", fstest.MapFS{"0001_one.sql": file("one")}, storage.ErrNewer},
		{"an edited migration", fstest.MapFS{"0001_one.sql": file("one, edited"), "0002_two.sql": file("two")}, storage.ErrForeign},
		{"a gap", fstest.MapFS{"0001_one.sql": file("one"), "0003_two.sql": file("two")}, nil},
		{"a number twice", fstest.MapFS{"0001_one.sql": file("one"), "0001_two.sql": file("two")}, nil},
		{"a name without a number", fstest.MapFS{"one.sql": file("one")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &schema{}
			require.NoError(t, sqlstore.Migrate(t.Context(), s.write, two))
			err := sqlstore.Migrate(t.Context(), s.write, tt.files)
			require.Error(t, err)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			}
			require.Equal(t, []string{"one", "two"}, s.scripts)
		})
	}
}

func TestAMigrationThatFailsIsDoneAgain(t *testing.T) {
	s := &schema{fails: "two"}
	files := fstest.MapFS{"0001_one.sql": file("one"), "0002_two.sql": file("two")}
	require.ErrorIs(t, sqlstore.Migrate(t.Context(), s.write, files), errBroken)
	s.fails = ""
	require.NoError(t, sqlstore.Migrate(t.Context(), s.write, files))
	require.Equal(t, []string{"one", "two"}, s.scripts)
}

var errBroken = errors.New("broken")

// schema is a database that remembers scripts and the rows of upkeep_schema.
type schema struct {
	scripts []string
	rows    [][]any
	fails   string
}

func (s *schema) write(_ context.Context, f func(sqlstore.Tx) error) error {
	tx := *s
	tx.scripts, tx.rows = append([]string(nil), s.scripts...), append([][]any(nil), s.rows...)
	err := f(&tx)
	if err == nil {
		*s = tx
	}
	return err
}

func (s *schema) Exec(query string, args ...any) error {
	switch {
	case query == s.fails:
		return errBroken
	case len(args) > 0:
		s.rows = append(s.rows, args)
	case len(query) < 20:
		s.scripts = append(s.scripts, query)
	}
	return nil
}

func (s *schema) Row(string, []any, ...any) error { return errBroken }

func (s *schema) Query(_ string, _ []any, each func(scan func(...any) error) error) error {
	for _, row := range s.rows {
		err := each(func(dest ...any) error {
			*dest[0].(*int64), *dest[1].(*string), *dest[2].(*string) = row[0].(int64), row[1].(string), row[2].(string)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
