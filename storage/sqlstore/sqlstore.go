package sqlstore

import "context"

// DB is what an engine lends to the statements of this package. It is safe
// for concurrent use. Its errors wrap those of package storage.
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
	// late (250 ms at most) for commits of other processes. The engine watches
	// on behalf of the caller until it is closed, which closes the channel, or
	// ctx ends.
	Changed(ctx context.Context) <-chan struct{}
	// Dialect says where the engine's SQL differs. It never changes.
	Dialect() Dialect
}

// Tx is a transaction. Queries have numbered parameters: ?1, ?2. Arguments
// are int64, string, []byte and nil; destinations are *int64, *string and
// *[]byte.
type Tx interface {
	// Exec executes a statement, of which nobody learns how many rows it
	// changed. An engine may send it together with the next call, which then
	// returns its error, or with the end of the transaction. A query without
	// arguments may be several statements.
	Exec(query string, args ...any) error
	// Row reads one row into dest, or returns sql.ErrNoRows. The query may be
	// a write with RETURNING.
	Row(query string, args []any, dest ...any) error
	// Query calls each for every row; it reads the row with scan and makes no
	// other call. An error of each ends the query.
	Query(query string, args []any, each func(scan func(dest ...any) error) error) error
}
