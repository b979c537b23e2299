// Package sqlstore has the SQL of every domain, written once. An engine lends
// it a DB and says in a Dialect where its SQL differs.
//
// Names that users choose (items, owners, ids) are bytes in SQL, so that they
// may be any bytes and are compared byte by byte. Times are INTEGER Unix
// milliseconds.
//
// # A further engine
//
// The example of [New] is one, whole. It supplies
//
//   - a [DB]: writes that are durable and do not disturb each other, snapshots,
//     and the news of commits. Its errors are those of package storage;
//   - a [Tx]: three kinds of statements on a connection;
//   - a [Dialect]: the types, the locks that keep writers apart where they run
//     side by side, and the clock that judges leases;
//   - once after New, [Stores.Settle] with a [Judge] that knows a database which
//     was restored from a backup;
//   - the methods of storage.Backend, for which it embeds the [Accessors] of its
//     [Stores].
//
// storagetest.Run tells whether it keeps its promises, storagetest.RunWithin and
// storagetest.RunSchema those of a database that is the application's.
//
// # What to read first
//
// sqlstore.go and dialect.go, which are what an engine supplies; stores.go, and
// with it schema.go and migrate.go (tables that are made when they are needed)
// and history.go (what a restored database does, with the *_begin.sql of each
// domain). pages.go, eventlog.go, runs.go and codec.go have what every domain
// needs: lists, a feed, runs, and records. lease.go is the shortest store. Of
// package update: update_journal.go, update_record.go, update_events.go,
// update_history.go. Of package firmware: firmware.go, firmware_run.go,
// firmware_record.go. Of package sync: sync.go for what is noted of a folder,
// sync_remotes.go, sync_remote.go, sync_put.go and sync_clear.go for objects in
// pieces. Of package lv: lv.go, lv_tables.go, lv_write.go,
// lv_release.go and lv_strategy.go for what changes; lv_rows.go and
// lv_history.go for what is read; lv_events.go and lv_forget.go; lv_record.go,
// lv_rules.go and lv_sound.go for the form of what is kept.
package sqlstore
