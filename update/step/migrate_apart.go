package step

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/pause"
)

// apart runs a file outside a transaction, statement by statement. Its row
// says how many are done, which is written in one transaction with a statement
// that can run in one, and after any other; the next one is then what was
// under way at a crash.
func (a *fileRun) apart(ctx context.Context) error {
	if err := a.bounded(ctx, a.lock); err != nil {
		return err
	}
	first, err := a.claim(ctx)
	if err != nil || first.state == stateApplied {
		return err
	}
	a.used = true
	for i, p := range a.parts {
		if i < first.done && !p.setting {
			continue
		}
		a.task.Progress(int64(i), int64(len(a.parts)), a.name)
		err := a.bounded(ctx, func(ctx context.Context) error {
			if p.bare {
				return a.bare(ctx, i)
			}
			_, err := a.within(ctx, func() (bool, error) {
				now, err := a.row(ctx, a.name)
				if err != nil || now.state != statePartly || now.done != i {
					return false, err // somebody else was faster
				}
				if err := a.inside(ctx, p.text); err != nil {
					return false, err
				}
				return true, a.count(ctx, i+1)
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("statement %d of %d, line %d: %w", i+1, len(a.parts), p.line, err)
		}
	}
	a.applied, err = a.within(ctx, func() (bool, error) {
		return a.set(ctx, a.migration, "state = '"+stateApplied+"', checksum = '"+a.checksum+"'",
			fmt.Sprintf("state = '%s' AND done = %d", statePartly, len(a.parts)))
	})
	return err
}

// claim makes the row of the file, or returns the one that there is.
func (a *fileRun) claim(ctx context.Context) (r row, err error) {
	_, err = a.within(ctx, func() (bool, error) {
		a.began = true
		if _, err := a.add(ctx, a.migration, a.sum(0), statePartly, a.task.Run.ID); err != nil {
			return false, err
		}
		r, err = a.row(ctx, a.name)
		return true, err
	})
	if err != nil {
		return r, err
	}
	return r, a.matches(r)
}

// count writes that n statements are done, unless more are. It needs a transaction.
func (a *fileRun) count(ctx context.Context, n int) error {
	_, err := a.set(ctx, a.migration, fmt.Sprintf("done = %d, checksum = '%s', run = '%s'", n, a.sum(n), a.task.Run.ID),
		fmt.Sprintf("state = '%s' AND done < %d", statePartly, n))
	return err
}

// sqliteTries is how often a statement is tried: SQLite does not wait for
// others where two wait for each other.
const sqliteTries = 5

// bare runs statement i as it is. After a crash it is run again.
func (a *fileRun) bare(ctx context.Context, i int) error {
	p := a.parts[i]
	if err := a.dropInvalid(ctx, p.statement); err != nil {
		return err
	}
	err := a.exec(ctx, p.text)
	for try := 1; err != nil && a.engine == sqliteEngine && try < sqliteTries && pause.For(ctx, signInterval) == nil; try++ {
		err = a.exec(ctx, p.text)
	}
	if err != nil {
		return err
	}
	_, err = a.within(ctx, func() (bool, error) { return true, a.count(ctx, i+1) })
	return err
}

// lock waits until nobody else runs this database's files outside a
// transaction, a dead process's server included. It looks again and again: to
// wait in one statement would make CREATE INDEX CONCURRENTLY wait for it in
// turn. In SQLite the file is locked by each statement.
func (a *fileRun) lock(ctx context.Context) error {
	if a.engine != postgreSQL {
		return nil
	}
	for {
		var got bool
		err := a.QueryRowContext(ctx, "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('"+migrationTable+"'), ('"+
			strings.ReplaceAll(a.table, "'", "''")+"'::regclass::oid::bigint - 2147483648)::int)").Scan(&got)
		if err != nil || got {
			return err
		}
		if pause.For(ctx, signInterval) != nil {
			return fmt.Errorf("waiting for somebody else who migrates: %w", ctx.Err())
		}
	}
}

// dropInvalid makes room for an index that a statement is to make: an attempt
// that did not come to its end leaves one that is not used, and that IF NOT
// EXISTS would take for the index.
func (a *fileRun) dropInvalid(ctx context.Context, s statement) error {
	if a.engine != postgreSQL || !s.begins("CREATE UNIQUE? INDEX CONCURRENTLY IF NOT EXISTS") {
		return nil
	}
	at := slices.IndexFunc(s.tokens, func(t token) bool { return t.is("EXISTS") }) + 1
	if len(s.tokens) < at+3 || !s.tokens[at+1].is("ON") {
		return nil
	}
	table := s.tokens[at+2:]
	if table[0].is("ONLY") {
		table = table[1:]
	}
	relation := ""
	for i, t := range table {
		if i%2 == 1 && t.text != "." {
			break
		}
		relation += t.text
	}
	index := s.tokens[at].text
	rows, err := a.QueryContext(ctx, fmt.Sprintf(`SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		WHERE NOT i.indisvalid AND i.indrelid = pg_catalog.to_regclass('%s') AND c.relname = (pg_catalog.parse_ident('%s'))[1]`,
		strings.ReplaceAll(relation, "'", "''"), strings.ReplaceAll(index, "'", "''")))
	if err != nil {
		return err
	}
	defer rows.Close()
	var name string
	if rows.Next() {
		err = rows.Scan(&name)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil || name == "" {
		return err
	}
	say(a.task, "dropping the index "+name+", which an attempt has left invalid")
	return a.exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+name)
}

// sum is the checksum of the first n statements.
func (f migration) sum(n int) string {
	h := sha256.New()
	for _, p := range f.parts[:n] {
		h.Write([]byte(strings.ReplaceAll(p.text, "\r\n", "\n") + ";\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}
