// Package postgres is the engine for several machines: a PostgreSQL server,
// version 13 or newer, reached through pgx.
//
// [Open] connects by a URL. [Use] shares the application's own pool, and
// [DB.Within] its transaction: what the stores then write happens when the
// application commits, or not at all. Every table is prefixed upkeep_ and is
// made in the first schema of the search_path, which needs the right to create
// tables. Schemas of one database do not disturb each other.
//
// Leases are rows and are judged by the server's clock alone; that of a client
// means nothing. Nothing is kept in a session, so a connection may be lost at
// any time: a transaction that had not come to its COMMIT is tried again, as
// after a deadlock or a serialization failure. What is acknowledged is as
// durable as the server's synchronous_commit makes it.
//
// A transaction pooler, such as PgBouncer, may stand in between. Unless it
// knows prepared statements, say default_query_exec_mode=exec or simple_protocol
// in the URL; then nothing LISTENs either. Where LISTEN does not work, Watch learns of other
// processes' writes by polling, 250 ms later at most, or a second later where
// the network has gone mute on the connection that listens.
//
// What it says while it cannot reach its server passes, as far as a call is
// concerned: it tries again until Config.Timeout, and then is storage.ErrBusy.
//
// There is no Backup here: the server's own tools do that better.
package postgres
