package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/upkeep-go/upkeep/lv"
)

// recordReply is a deletion of a row that somebody still shows.
type recordReply struct {
	ActionID  string       `json:"actionId"`
	ObjectID  string       `json:"objectId"`
	VersionID string       `json:"versionId"` // what production still shows, or else the first of Shown
	Actor     string       `json:"actor"`
	Time      int64        `json:"time"`  // Unix ms
	Shown     []shownReply `json:"shown"` // where it is shown
}

// shownReply is who shows a version: production if GrayID is "", a gray, or a
// strategy.
type shownReply struct {
	GrayID     string `json:"grayId"`
	StrategyID string `json:"strategyId,omitempty"`
	VersionID  string `json:"versionId"`
}

// records yields the deletions of rows that production, a gray or a strategy
// still shows, by the ids of the rows. The store knows those of production; of
// the others there are as many as versions pinned beside it.
func records(ctx context.Context, t *lv.Table, after string) iter.Seq2[recordReply, error] {
	return func(yield func(recordReply, error) bool) {
		beside, err := shownBeside(ctx, t)
		if err != nil {
			yield(recordReply{}, err)
			return
		}
		ids := slices.Sorted(maps.Keys(beside))
		ids = slices.DeleteFunc(ids, func(id string) bool { return id <= after })
		tell := func(id string) bool {
			reply, err := recordOf(ctx, t, id, beside[id])
			return errors.Is(err, lv.ErrNotFound) || yield(reply, err) // it has been published since
		}
		for row, err := range t.Rows(ctx, lv.View{Working: true, Deleted: true, After: after}) {
			if err != nil {
				yield(recordReply{}, err)
				return
			}
			for len(ids) > 0 && ids[0] < row.ID {
				if !tell(ids[0]) {
					return
				}
				ids = ids[1:]
			}
			if len(ids) > 0 && ids[0] == row.ID {
				ids = ids[1:]
			}
			if !tell(row.ID) {
				return
			}
		}
		for _, id := range ids {
			if !tell(id) {
				return
			}
		}
	}
}

// shownBeside returns who but production shows rows that are deleted, by row.
func shownBeside(ctx context.Context, t *lv.Table) (map[string][]shownReply, error) {
	shown := map[string][]shownReply{}
	grays, err := t.Envs(ctx)
	if err != nil {
		return nil, err
	}
	for _, gray := range grays {
		for row, err := range t.Rows(ctx, lv.View{Env: gray, Own: true}) {
			if err != nil && !row.Corrupt {
				return nil, err
			}
			if row.Content != nil || row.Corrupt {
				shown[row.ID] = append(shown[row.ID], shownReply{GrayID: string(gray), VersionID: decimal(row.Version)})
			}
		}
	}
	strategies, err := t.Strategies(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range strategies {
		if s.Disabled || s.Corrupt {
			continue
		}
		target, err := t.VersionByID(ctx, s.Target)
		if _, damaged := errors.AsType[*lv.CorruptError](err); err != nil && !damaged {
			return nil, err
		}
		if target.Op != lv.OpDelete {
			shown[s.Row] = append(shown[s.Row], shownReply{StrategyID: decimal(s.ID), VersionID: decimal(s.Target)})
		}
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(shown)), maxBatch) {
		for row, err := range t.Rows(ctx, lv.View{Working: true, Rows: ids}) {
			if err != nil && !row.Corrupt {
				return nil, err
			}
			delete(shown, row.ID)
		}
	}
	return shown, nil
}

// recordOf returns the record of a row that is deleted, and shown by production
// or by these, or lv.ErrNotFound.
func recordOf(ctx context.Context, t *lv.Table, row string, beside []shownReply) (reply recordReply, err error) {
	public, err := t.Get(ctx, row, lv.View{})
	damaged, isDamaged := errors.AsType[*lv.CorruptError](err)
	switch {
	case isDamaged:
		public.Version = damaged.Version
	case err != nil && !errors.Is(err, lv.ErrNotFound):
		return reply, err
	}
	if public.Version != 0 {
		reply.Shown = append(reply.Shown, shownReply{VersionID: decimal(public.Version)})
	}
	if reply.Shown = append(reply.Shown, beside...); reply.Shown == nil {
		return reply, fmt.Errorf("%w: row %q is not shown", lv.ErrNotFound, row)
	}
	for v, err := range t.History(ctx, lv.Query{Row: row}) {
		if err != nil || v.Op != lv.OpDelete {
			return reply, cmp.Or(err, fmt.Errorf("%w: row %q is back", lv.ErrNotFound, row))
		}
		reply.ActionID, reply.ObjectID, reply.VersionID = decimal(v.ID), row, reply.Shown[0].VersionID
		reply.Actor, reply.Time = v.By.Actor, v.Time.UnixMilli()
		break
	}
	return reply, nil
}
