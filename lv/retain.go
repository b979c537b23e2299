package lv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// forgetChunk is how many versions one write forgets.
const forgetChunk = 100

// retain forgets what Config.Retain allows.
func (s *Service) retain(idle, work context.Context, _ func()) error {
	var tables []TableInfo
	for info, err := range s.config.VersionStore.Tables(idle) {
		if err != nil {
			return err
		}
		tables = append(tables, info)
	}
	for _, info := range tables {
		t := &Table{ID: info.ID, service: s}
		if err := t.retain(idle, work, info, s.config.Retain); err != nil {
			return fmt.Errorf("table %q of %q: %w", info.ID.Schema, info.ID.App, err)
		}
	}
	return nil
}

func (t *Table) retain(idle, work context.Context, info TableInfo, keep Retention) error {
	pinned, live := map[VersionID]bool{}, map[pointer]VersionID{}
	for _, s := range info.Strategies {
		pinned[s.Target] = true
	}
	count := map[string]int{}
	youngest := time.Now().Add(-keep.Age)
	var victims []Edit
	for v, err := range t.service.config.VersionStore.Versions(idle, t.ID, Query{}) {
		if err != nil && !isContent(err) {
			return err
		}
		for _, env := range v.Live {
			live[pointer{env, v.Row}] = v.ID
		}
		if count[v.Row]++; count[v.Row] > keep.Versions && !v.Time.After(youngest) && len(v.Live) == 0 {
			victims = append(victims, Edit{Op: OpForget, Version: v.ID})
		}
	}
	if len(victims) == 0 {
		return nil
	}
	for r, err := range t.service.config.VersionStore.Releases(idle, t.ID, Query{}) {
		if err != nil {
			return err
		}
		for _, id := range r.pins(live) {
			pinned[id] = true
		}
	}
	victims = slices.DeleteFunc(victims, func(e Edit) bool { return pinned[e.Version] })
	for chunk := range slices.Chunk(victims, forgetChunk) {
		if idle.Err() != nil {
			return nil
		}
		if err := t.forget(work, chunk); err != nil {
			return err
		}
	}
	return nil
}

// A pointer is what an environment has for a row.
type pointer struct {
	env Env
	row string
}

// pins returns the versions that a release still needs: what a drafted one
// will show, and what the revert of an applied one would.
func (r Release) pins(live map[pointer]VersionID) (versions []VersionID) {
	for _, c := range r.Changes {
		switch {
		case r.State == ReleaseFailed || r.State == ReleaseCancelled:
		case r.State != ReleaseApplied:
			versions = append(versions, c.To)
		case !c.moved():
		case live[pointer{r.Env, c.Row}] != c.To:
			return nil // a revert would be a conflict
		default:
			versions = append(versions, c.From)
		}
	}
	return versions
}

// forget forgets versions; those that somebody has come to refer to, or has
// forgotten already, are left out.
func (t *Table) forget(ctx context.Context, victims []Edit) error {
	_, err := t.Edit(ctx, By{Actor: "retention"}, victims...)
	if !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
		return err
	}
	if len(victims) == 1 {
		return nil
	}
	for _, victim := range victims {
		if err := t.forget(ctx, []Edit{victim}); err != nil {
			return err
		}
	}
	return nil
}
