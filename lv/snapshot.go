package lv

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"
)

// A Snapshot is all that readers see of a table after one event. With the
// events that follow it, that is enough to go on reading elsewhere.
type Snapshot struct {
	// History names the history of the store, whose Seq mean something else in
	// another one, such as after a restore. It is "" if that is not known.
	History string
	Seq     int64     // the event whose state it is
	Time    time.Time // of that event, UTC; zero if that is not known
	After   int64     // the event of the store after which to Watch: this one or a later one
	Grays   []Env     // those that somebody has published to, by name
	// Rows yields what Production or a gray points at itself, by rising id. A
	// deletion that a gray holds has no Content, and neither has a row that is
	// Corrupt, which comes without an error.
	Rows func(Env) iter.Seq2[Row, error]
	// Strategies are those that are not disabled, in the order in which they
	// are tried. They may be fewer than those of the table: one that cannot be
	// used is left out.
	Strategies []StrategyRow
}

// StrategyRow is a strategy and the row it shows, which has no Content if it
// is a deletion, or Corrupt.
type StrategyRow struct {
	Strategy
	Shows Row
}

// Snapshot returns what readers see now. It copies no rows: their Content is
// shared by all readers, who must not change it.
func (t *Table) Snapshot(ctx context.Context) (Snapshot, error) {
	// The events up to the position are in every root that is read after it.
	// There is none before the first root.
	if _, err := t.current(ctx); err != nil {
		return Snapshot{}, err
	}
	after := t.service.follower.position.Load()
	r, err := t.current(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{History: r.history, Seq: r.seq, Time: r.time, After: max(after, r.seq), Grays: slices.Sorted(maps.Keys(r.grays))}
	s.Rows = func(env Env) iter.Seq2[Row, error] {
		l := r.production
		if env != Production {
			l = r.grays[env]
		}
		return func(yield func(Row, error) bool) {
			for e := range l.after("") {
				if !yield(e.Row, nil) {
					return
				}
			}
		}
	}
	for _, c := range r.strategies {
		for _, one := range c.list {
			s.Strategies = append(s.Strategies, StrategyRow{one.strategy, one.show.Row})
		}
	}
	slices.SortFunc(s.Strategies, func(a, b StrategyRow) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.ID, a.ID))
	})
	return s, nil
}

// read reads the table as of its last event, and returns the event after which
// it goes on.
func (t *Table) read(ctx context.Context) (r *root, after int64, err error) {
	s, err := t.service.snapshot(ctx, t.ID)
	if err != nil {
		return nil, 0, err
	}
	r = &root{history: s.History, seq: s.Seq, time: s.Time, published: s.Seq, grays: map[Env]layer{}, strategies: t.choices(ctx, s.Strategies)}
	entries, err := t.entriesOf(ctx, s.Rows(Production))
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		e.choices = r.strategies[e.ID]
	}
	r.production = newLayer(entries)
	for _, env := range s.Grays {
		entries, err := t.entriesOf(ctx, s.Rows(env))
		if err != nil {
			return nil, 0, err
		}
		r.grays[env] = newLayer(entries)
	}
	return r, s.After, nil
}

func (t *Table) entriesOf(ctx context.Context, rows iter.Seq2[Row, error]) (entries []*entry, err error) {
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		t.service.note(ctx, t.damaged(row))
		entries = append(entries, &entry{Row: row})
	}
	return entries, nil
}

// choices returns strategies by row, ready to be asked.
func (t *Table) choices(ctx context.Context, all []StrategyRow) map[string]*choices {
	byRow := map[string][]choice{}
	for _, s := range all {
		t.service.note(ctx, t.damaged(s.Shows))
		c, err := newChoice(s.Strategy, &entry{Row: s.Shows})
		if err != nil {
			t.inert(ctx)(s.Strategy, err)
		} else if c != nil {
			byRow[s.Row] = append(byRow[s.Row], *c)
		}
	}
	strategies := make(map[string]*choices, len(byRow))
	for row, list := range byRow {
		strategies[row] = newChoices(list)
	}
	return strategies
}

// readStore is Reader.Snapshot for a store.
func (s *Service) readStore(ctx context.Context, id TableID) (Snapshot, error) {
	after := s.follower.position.Load()
	t := &Table{ID: id, service: s}
	info, err := t.info(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot := Snapshot{History: info.History, Seq: info.Seq, Time: info.Time, After: max(after, info.Seq), Grays: info.Envs}
	for _, strategy := range info.Strategies {
		shows, err := t.target(ctx, strategy)
		switch {
		case err == nil:
			snapshot.Strategies = append(snapshot.Strategies, StrategyRow{strategy, shows})
		case !errors.Is(err, ErrNotFound):
			return Snapshot{}, err
		}
	}
	snapshot.Rows = func(env Env) iter.Seq2[Row, error] {
		if info.Seq == 0 { // as of 0 would be as of now
			return func(func(Row, error) bool) {}
		}
		rows := t.sound(ctx, View{Env: env, Own: env != Production, AsOf: info.Seq})
		return func(yield func(Row, error) bool) {
			for row, err := range rows {
				if row.Corrupt {
					err = nil
				}
				if !yield(row, err) {
					return
				}
			}
		}
	}
	return snapshot, nil
}

// target returns what a strategy shows.
func (t *Table) target(ctx context.Context, s Strategy) (Row, error) {
	v, err := t.VersionByID(ctx, s.Target)
	if err != nil && !isContent(err) {
		return Row{}, err
	}
	row := Row{ID: v.Row, Version: v.ID, Content: v.Content, UpdatedAt: v.Time, Corrupt: err != nil}
	// A row knows when it was created; of one that is deleted the oldest
	// version does.
	for working, err := range t.sound(ctx, View{Working: true, Rows: []string{v.Row}}) {
		if working.Corrupt {
			err = nil
		}
		row.CreatedAt = working.CreatedAt
		return row, err
	}
	for older, err := range t.soundVersions(ctx, Query{Row: v.Row}) {
		if err != nil && !isContent(err) {
			return Row{}, err
		}
		row.CreatedAt = older.Time
	}
	return row, nil
}
