package memory

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// runs are those of a domain, or of one thing of it: of type R, in the order in
// which they were created. They are changed with the mutex of db.
type runs[R any] struct {
	db       *DB
	notFound error
	clone    func(R) R

	all      []R // oldest first
	index    map[string]int
	requests map[request]int
}

// request is a RequestID, and what it is unique in: a package, or a service.
type request struct{ of, id string }

func newRuns[R any](db *DB, notFound error, clone func(R) R) runs[R] {
	return runs[R]{db: db, notFound: notFound, clone: clone, index: make(map[string]int), requests: make(map[request]int)}
}

// add makes a place for a run, and notes its request, if there is one.
func (l *runs[R]) add(id string, asked request) (i int) {
	i = len(l.all)
	l.index[id] = i
	if asked.id != "" {
		l.requests[asked] = i
	}
	var none R
	l.all = append(l.all, none)
	return i
}

// ended is when a run has ended that is done now, or not, and ended before
// unless that is zero.
func ended(done bool, before, now time.Time) time.Time {
	switch {
	case !done:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

// get returns a run.
func (l *runs[R]) get(ctx context.Context, id string) (run R, err error) {
	if err := l.db.lock(ctx); err != nil {
		return run, err
	}
	defer l.db.mu.Unlock()
	i, known := l.index[id]
	if !known {
		return run, fmt.Errorf("%w: run %q", l.notFound, id)
	}
	return l.clone(l.all[i]), nil
}

// history lists what is selected of all runs, newest first, or of those that
// follow a run.
func (l *runs[R]) history(ctx context.Context, after string, selected func(R) bool) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var none R
		from, err := l.from(ctx, after)
		if err != nil {
			yield(none, err)
			return
		}
		newestFirst(ctx, l.db, from, func(before int64) (R, int64, bool) {
			for i := before - 1; i >= 0; i-- {
				if selected(l.all[i]) {
					return l.clone(l.all[i]), i, true
				}
			}
			return none, 0, false
		})(yield)
	}
}

// from returns the place before which the list of Query.After begins.
func (l *runs[R]) from(ctx context.Context, after string) (int64, error) {
	if err := l.db.lock(ctx); err != nil {
		return 0, err
	}
	defer l.db.mu.Unlock()
	if after == "" {
		return int64(len(l.all)), nil
	}
	i, known := l.index[after]
	if !known {
		return 0, fmt.Errorf("%w: run %q", l.notFound, after)
	}
	return int64(i), nil
}

// forget drops everything. The mutex is held.
func (l *runs[R]) forget() { l.all, l.index, l.requests = nil, nil, nil }
