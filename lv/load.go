package lv

import (
	"context"
	"errors"
	"fmt"
)

// loadAttempts is how often a table is read again because what it was read as
// of has been forgotten meanwhile.
const loadAttempts = 5

// current returns the newest root.
func (t *Table) current(ctx context.Context) (*root, error) {
	if r := t.root.Load(); r != nil {
		return r, nil
	}
	select {
	case t.loading <- struct{}{}:
		defer func() { <-t.loading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for attempt := 1; ; attempt++ {
		if r := t.root.Load(); r != nil {
			return r, nil
		}
		r, err := t.load(ctx)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrCompacted) || attempt == loadAttempts {
			return nil, fmt.Errorf("reading table %q of %q: %w", t.ID.Schema, t.ID.App, err)
		}
	}
}

// load reads the table and makes it the root. Events that come meanwhile are
// kept for it; ErrCompacted if they are lost.
func (t *Table) load(ctx context.Context) (*root, error) {
	f := t.service.follower
	if err := f.lock(ctx); err != nil {
		return nil, err
	}
	lost, from, err := t.expect(ctx)
	var r *root
	var after int64
	if err == nil {
		r, after, err = t.read(ctx)
	}
	if err := f.lock(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	defer f.unlock()
	missed := t.missed
	t.missed = nil
	if err == nil && (lost != f.lost || !f.reached(from, after)) {
		err = ErrCompacted
	}
	if err != nil {
		return nil, err
	}
	for _, e := range missed {
		r = t.next(ctx, r, e)
	}
	t.root.Store(r)
	return r, nil
}

// expect begins to keep the events that come, and returns how often some have
// been lost so far, and after which event it does. The caller is the applier,
// and is not any more after it: a store that panics stops nobody else.
func (t *Table) expect(ctx context.Context) (lost int, from int64, err error) {
	f := t.service.follower
	defer f.unlock()
	err = f.start(ctx)
	t.asked.Store(true) // before the table is read: a write that finds it unset is in what is read
	t.missed = []Event{}
	return f.lost, f.position.Load(), err
}

// apply brings an event into the root. Only the applier calls it.
func (t *Table) apply(ctx context.Context, e Event) {
	if t.missed != nil {
		t.missed = append(t.missed, e)
	}
	if r := t.root.Load(); r != nil {
		t.root.Store(t.next(ctx, r, e))
		t.changed.Set()
	}
}

// next returns the root after an event.
func (t *Table) next(ctx context.Context, r *root, e Event) *root {
	switch {
	case e.Seq <= r.seq:
		return r
	case e.Kind == EventStrategy:
		return r.decided(e, t.inert(ctx))
	}
	return r.released(e)
}

// inert returns what is called of a strategy that cannot be used.
func (t *Table) inert(ctx context.Context) func(Strategy, error) {
	return func(s Strategy, err error) {
		t.service.config.Logger.WarnContext(ctx, "lv: a strategy is not applied",
			"app", t.ID.App, "schema", t.ID.Schema, "strategy", s.ID, "err", err)
	}
}

// info returns the table but for its rows; of one that nobody has written to,
// only the id.
func (t *Table) info(ctx context.Context) (TableInfo, error) {
	for info, err := range t.service.config.VersionStore.Tables(ctx, t.ID) {
		return info, err
	}
	return TableInfo{ID: t.ID}, ctx.Err()
}
