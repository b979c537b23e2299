package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// A database notes which one it is, so that one that was restored is known: the
// cluster, the timeline, which is another one after a recovery to a point in
// time and after a standby was promoted, and the numbers that the database and
// the table of histories got when they were made, by pg_restore for example.
const (
	originAll = `
SELECT (SELECT system_identifier FROM pg_control_system())::text,
	substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), ` + originOwn
	// originSome is for roles that may not ask for the rest.
	originSome = `SELECT '', '', ` + originOwn
	originOwn  = `
	(SELECT oid FROM pg_database WHERE datname = current_database())::text, 'upkeep_history'::regclass::oid::text`
)

// inRecovery is the code of a server that has not got its timeline yet, and
// takes no writes either.
const inRecovery = "55000"

var errRecovers = errors.New("postgres: the server is in recovery")

// originTime bounds the question.
const originTime = 5 * time.Second

// originOf asks which database a session has. What is not known is empty.
func originOf(ctx context.Context, c *pgx.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, originTime)
	defer cancel()
	var parts [4]string
	ask := func(query string) error {
		return c.QueryRow(ctx, query).Scan(&parts[0], &parts[1], &parts[2], &parts[3])
	}
	err := ask(originAll)
	if refusal := new(pgconn.PgError); errors.As(err, &refusal) && !c.IsClosed() {
		if refusal.Code == inRecovery {
			return "", errRecovers
		}
		err = ask(originSome)
	}
	return strings.Join(parts[:], " "), err
}

// judge tells a database that noted another origin than the one that it has.
func judge(now string) sqlstore.Judge {
	return func(noted string, first bool) (string, bool, error) {
		if first {
			return now, false, nil
		}
		then, is := strings.Split(noted, " "), strings.Split(now, " ")
		if len(then) != len(is) {
			return now, true, nil
		}
		restored := false
		for i := range is {
			switch {
			case is[i] == "": // not known to this role
				is[i] = then[i]
			case then[i] != "" && then[i] != is[i]:
				restored = true
			}
		}
		return strings.Join(is, " "), restored, nil
	}
}

// settled is what is noted of a session: that its database has been looked at.
const settled = "upkeep_settled"

// acquire borrows a session. A new one may be to a database that was restored
// since: whoever comes first begins its new history.
func (s *server) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := s.pool.Acquire(ctx)
	if err != nil || !s.settles.Load() {
		return c, err
	}
	noted := c.Conn().PgConn().CustomData()
	if noted[settled] != nil {
		return c, nil
	}
	err = s.settle(ctx, c)
	if errors.Is(err, errRecovers) {
		return c, nil // it is asked again
	}
	if err != nil {
		release(c)
		return nil, err
	}
	noted[settled] = true
	return c, nil
}

// settle looks at the database of a session.
func (s *server) settle(ctx context.Context, c *pgxpool.Conn) error {
	now, err := originOf(ctx, c.Conn())
	if err != nil {
		return fmt.Errorf("asking which database it is: %w", err)
	}
	if known := s.origin.Load(); known != nil && *known == now {
		return nil
	}
	_, err = s.transactOn(ctx, c, writing(s.timeout), func(tx sqlstore.Tx) error {
		if err := tx.Exec(schemaLock, "history"); err != nil {
			return err
		}
		return sqlstore.Settle(tx, dialect, judge(now))
	})
	if err != nil {
		return err
	}
	s.origin.Store(&now)
	s.hints.wake()
	return nil
}
