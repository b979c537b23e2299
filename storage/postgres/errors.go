package postgres

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/upkeep-go/upkeep/storage"
)

// ErrUnknown reports a write whose connection was lost while it was being
// committed: it is there as a whole or not at all, and only reading tells.
// The engine does not repeat it. Saving a run once more is safe: its Rev lets
// only one of the two through.
var ErrUnknown = errors.New("postgres: connection lost during commit, outcome unknown")

// meanings says which decision of package storage a SQLSTATE asks for.
var meanings = map[string]error{
	"53100": storage.ErrFull,     // disk_full
	"25006": storage.ErrReadOnly, // read_only_sql_transaction: a standby, or so configured
	"42501": storage.ErrReadOnly, // insufficient_privilege
	"55P03": storage.ErrBusy,     // lock_not_available: lock_timeout
	"57014": storage.ErrBusy,     // query_canceled: statement_timeout
	"XX001": storage.ErrCorrupt,  // data_corrupted
	"XX002": storage.ErrCorrupt,  // index_corrupted
}

// passing are the SQLSTATEs after which the same transaction may succeed. Whoever
// does not try again is told storage.ErrBusy.
var passing = map[string]bool{
	"40001": true, // serialization_failure
	"40P01": true, // deadlock_detected
	"53300": true, // too_many_connections
	"57P01": true, // admin_shutdown
	"57P02": true, // crash_shutdown
	"57P03": true, // cannot_connect_now: the server is starting
	"08000": true, // connection_exception and its kind: poolers use them too
	"08003": true,
	"08006": true,
}

// translate gives an error of the driver its meaning, by SQLSTATE. The
// driver's own stays reachable by errors.As.
func translate(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return sql.ErrNoRows
	case errors.As(err, &pg) && meanings[pg.Code] != nil:
		return fmt.Errorf("%w: %w", meanings[pg.Code], err)
	case passes(err, false):
		return fmt.Errorf("%w: %w", storage.ErrBusy, err)
	}
	return fmt.Errorf("postgres: %w", err)
}

// passes reports whether a transaction may be tried again after an error of
// the server or, where that is what it was, the loss of the connection.
func passes(err error, disconnected bool) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// All that PgBouncer has to say for itself is 08P01, protocol_violation:
		// for it that is FATAL, and what a client sends is not.
		return passing[pg.Code] || pg.Code == "08P01" && pg.Severity == "FATAL"
	}
	return err != nil && disconnected
}

// refused reports whether an error of COMMIT is the server's word that nothing
// was committed. FATAL is not: the server may end a session after a commit. Nor
// is pgconn.SafeToRetry, which is also true when the reply did not arrive.
func refused(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.SeverityUnlocalized == "ERROR"
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}
