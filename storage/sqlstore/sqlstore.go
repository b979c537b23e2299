// Package sqlstore has the SQL of every domain, written once. An engine lends
// it a DB and says in a Dialect where its SQL differs.
package sqlstore

import "context"

// DB is what an engine lends to the statements of this package. It is safe
// for concurrent use.
type DB interface {
	// Write runs f in a transaction of its own, or as if, and returns once
	// that is durable. An error or a panic of f undoes what f did and nothing
	// else; the panic becomes an error. Ctx ending before f begins drops it;
	// afterwards the caller gets the true outcome. F may be called more than
	// once, so it sets what it returns from scratch; it is short and does
	// nothing but call its Tx, which it does not keep.
	Write(ctx context.Context, f func(Tx) error) error
	// Read runs f on one snapshot, which lives for 5 seconds at most.
	Read(ctx context.Context, f func(Tx) error) error
	// Row reads one row by one statement into dest, or returns sql.ErrNoRows.
	Row(ctx context.Context, query string, args []any, dest ...any) error
	// Changed returns a channel that is closed after the next commit, by
	// anybody: a hint to read again. It may be closed for no reason, and comes
	// late (250 ms at most) for commits of other processes.
	Changed(ctx context.Context) <-chan struct{}
	// Dialect says where the engine's SQL differs.
	Dialect() Dialect
}

// Tx is a transaction. Queries have numbered parameters: ?1, ?2. Values are
// int64, string, []byte, bool and nil.
type Tx interface {
	// Exec returns the number of rows changed.
	Exec(query string, args ...any) (int64, error)
	// Row reads one row into dest, or returns sql.ErrNoRows.
	Row(query string, args []any, dest ...any) error
	// Query calls each for every row; it reads the row with scan. An error
	// of each ends the query.
	Query(query string, args []any, each func(scan func(dest ...any) error) error) error
}
