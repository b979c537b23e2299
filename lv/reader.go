package lv

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Reader is where a Service without a store reads from, such as a server that
// has one. Implementations are safe for concurrent use. Package replica has one
// for the feed of httpadapter.
type Reader interface {
	// Snapshot returns what readers see of a table, whose After is where
	// Watch goes on from it. A table that nobody has written to is empty.
	Snapshot(ctx context.Context, t TableID) (Snapshot, error)
	// Watch yields the events after one, as Service.Watch does. One without a
	// Kind says only that nothing else has happened up to its Seq. After
	// ErrCompacted the Service asks for snapshots anew.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// errNoStore reports a read of what a Reader does not have.
var errNoStore = fmt.Errorf("lv: %w: only a service with a store has it", errors.ErrUnsupported)

// readerStore is the VersionStore of a Service that has a Reader: it has
// nothing but the events.
type readerStore struct{ Reader }

func (readerStore) Write(context.Context, TableID, []Edit, By) ([]Version, error) {
	return nil, ErrReadOnly
}

func (readerStore) PutRelease(context.Context, TableID, Release, By) (Release, error) {
	return Release{}, ErrReadOnly
}

func (readerStore) PutStrategy(context.Context, TableID, Strategy, By) (Strategy, error) {
	return Strategy{}, ErrReadOnly
}

func (readerStore) Rows(context.Context, TableID, View) iter.Seq2[Row, error] {
	return noStore[Row]
}

func (readerStore) Versions(context.Context, TableID, Query) iter.Seq2[Version, error] {
	return noStore[Version]
}

func (readerStore) Releases(context.Context, TableID, Query) iter.Seq2[Release, error] {
	return noStore[Release]
}

func (readerStore) Tables(context.Context, ...TableID) iter.Seq2[TableInfo, error] {
	return noStore[TableInfo]
}

func noStore[T any](yield func(T, error) bool) {
	var none T
	yield(none, errNoStore)
}
