package sqlstore

import (
	"context"
	cryptorand "crypto/rand"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A database that was restored gives to other things the numbers that others
// have seen already. So it begins a new history: a name, and numbers beyond all
// that an earlier one can have given. Its base is the first of them, which
// events of each feed have, and nobody is told: no event before it is followed
// by the next number, and readers of those are told that they have to begin
// anew.
const (
	historyTable = `
CREATE TABLE IF NOT EXISTS upkeep_history (
	base     {int} PRIMARY KEY, -- its numbers are greater; 0: the first history
	name     TEXT  NOT NULL,    -- random
	place    TEXT  NOT NULL,    -- by which a restored database is known
	began_ms {int} NOT NULL     -- Unix milliseconds
) {end}`

	historyLast   = `SELECT base, name, place FROM upkeep_history ORDER BY base DESC LIMIT 1`
	historyInsert = `INSERT INTO upkeep_history (base, name, place, began_ms) VALUES (?1, ?2, ?3, ?4)`
	historyMove   = `UPDATE upkeep_history SET place = ?2 WHERE base = ?1`
	historyMade   = `SELECT count(*) FROM upkeep_schema WHERE domain = ?1`
)

// beginnings are a line and two statements of each domain, in DOMAIN_begin.sql.
// The line is "-- lock: events" if numbers are given under the lock of the
// domain's events, else "-- lock: none".
//
//go:embed *_begin.sql
var beginnings embed.FS

// beginning is what a domain does in a new history.
type beginning struct {
	given  string // reads the greatest number that the domain has given
	begin  string // brings its numbers beyond {base}, at the time {ms}
	locked bool   // by the lock of its events
}

// beginningOf returns that of a domain.
func beginningOf(domain string) (b beginning, err error) {
	script, err := beginnings.ReadFile(domain + "_begin.sql")
	if err == nil {
		b, err = parseBeginning(string(script))
	}
	if err != nil {
		err = fmt.Errorf("sqlstore: what %s does in a new history: %w", domain, err)
	}
	return b, err
}

func parseBeginning(script string) (b beginning, err error) {
	lock, rest, _ := strings.Cut(script, "\n")
	b.locked = lock == "-- lock: events"
	if !b.locked && lock != "-- lock: none" {
		return b, errors.New(`the first line is neither "-- lock: events" nor "-- lock: none"`)
	}
	statements := strings.Split(rest, ";\n")
	if len(statements) != 3 || statements[2] != "" {
		return b, errors.New("there are not two statements")
	}
	b.given, b.begin = statements[0], statements[1]
	return b, nil
}

// A Judge tells a database that was restored from one that goes on. It is given
// what it last said of the place that the database is at, unless this is the
// first time, and returns that of now, which is kept. It runs in a transaction,
// perhaps more than once.
type Judge func(place string, first bool) (now string, restored bool, err error)

// Settle asks a judge, and begins a new history if the database was restored.
// Versions, events, releases, strategies and leases then go on with numbers
// that were never given, and Watch is ErrCompacted for every earlier event.
func (s *Stores) Settle(ctx context.Context, judge Judge) error {
	d := s.db.Dialect()
	err := s.db.Write(ctx, func(tx Tx) error {
		if err := execLock(tx, d.SchemaLock, domainHistory); err != nil {
			return err
		}
		return Settle(tx, d, judge)
	})
	if err != nil {
		return fmt.Errorf("telling a restored database: %w", err)
	}
	return nil
}

// domainHistory is for the lock alone.
const domainHistory = "history"

// Settle is what Stores.Settle does in a transaction.
func Settle(tx Tx, d Dialect, judge Judge) error {
	var base int64
	var name, place string
	there, err := found(tx.Row(historyLast, nil, &base, &name, &place))
	if err != nil {
		return err
	}
	now, restored, err := judge(place, !there)
	switch {
	case err != nil:
		return err
	case !there:
		return tx.Exec(historyInsert, int64(0), cryptorand.Text(), now, time.Now().UnixMilli())
	case restored:
		return begin(tx, d, base, now)
	case now != place:
		return tx.Exec(historyMove, base, now)
	}
	return nil
}

// begin begins a new history.
func begin(tx Tx, d Dialect, newest int64, place string) error {
	var made []string
	for _, domain := range domains() {
		var migrations, given int64
		if err := tx.Row(historyMade, []any{domain}, &migrations); err != nil {
			return err
		}
		if migrations == 0 {
			continue
		}
		b, err := beginningOf(domain)
		if err == nil && b.locked {
			err = execLock(tx, d.eventLock(domain))
		}
		if err == nil {
			err = tx.Row(b.given, nil, &given)
		}
		if err != nil {
			return err
		}
		newest, made = max(newest, given), append(made, domain)
	}
	var ms int64
	if err := tx.Row(d.clocked(0, "SELECT {now}"), d.withNow(), &ms); err != nil {
		return err
	}
	base := baseAt(ms, newest)
	if err := tx.Exec(historyInsert, base, cryptorand.Text(), place, ms); err != nil {
		return err
	}
	for _, domain := range made {
		if err := beginDomain(tx, d, domain, base, ms); err != nil {
			return err
		}
	}
	return nil
}

// execLock takes a lock of the Dialect, if it has one.
func execLock(tx Tx, lock string, args ...any) error {
	if lock == "" {
		return nil
	}
	return tx.Exec(lock, args...)
}

// baseAt returns where a history begins: by the time, because two histories may
// come from the same backup. There are a million numbers for each second, which
// nobody gives; they stay below 2^53, what JavaScript can hold, until 2305. By a
// clock that is slow it begins somewhere among the next ten trillion numbers. It
// is never the number that comes next, so that who stands at the newest event
// finds a gap.
func baseAt(ms, newest int64) int64 {
	const perMilli, step, steps = 1000, 1_000_000, 10_000_000
	since := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	if base := (ms - since) * perMilli; base > newest+1 {
		return base
	}
	return (newest/step + 2 + rand.Int64N(steps)) * step
}

// beginDomain brings the numbers of a domain beyond the base.
func beginDomain(tx Tx, d Dialect, domain string, base, ms int64) error {
	b, err := beginningOf(domain)
	if err != nil {
		return err
	}
	numbers := strings.NewReplacer("{base}", strconv.FormatInt(base, 10), "{ms}", strconv.FormatInt(ms, 10))
	return tx.Exec(numbers.Replace(d.typed(b.begin)))
}

// joinHistory does so for tables that are made in a history that is not the
// first: the lost one may have had them.
func joinHistory(tx Tx, d Dialect, domain string) error {
	var base int64
	var name, place string
	if _, err := found(tx.Row(historyLast, nil, &base, &name, &place)); err != nil || base == 0 {
		return err
	}
	return beginDomain(tx, d, domain, base, time.Now().UnixMilli())
}
