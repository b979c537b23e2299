package httpadapter

import (
	"context"
	"errors"
	"iter"

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
// strategy, though it may be switched off.
type shownReply struct {
	GrayID     string `json:"grayId"`
	StrategyID string `json:"strategyId,omitempty"`
	VersionID  string `json:"versionId"`
}

// records yields the deletions of rows that somebody still shows, by the ids
// of the rows.
func records(ctx context.Context, t *lv.Table, after string) iter.Seq2[recordReply, error] {
	return func(yield func(recordReply, error) bool) {
		for row, err := range t.Rows(ctx, lv.View{Working: true, Deleted: true, After: after}) {
			var reply recordReply
			if err == nil {
				reply, err = recordOf(ctx, t, row)
			}
			if err == nil && reply.Shown == nil {
				continue // it has been published since
			}
			if !yield(reply, err) {
				return
			}
		}
	}
}

// recordOf returns the record of a row that is deleted.
func recordOf(ctx context.Context, t *lv.Table, row lv.Row) (reply recordReply, err error) {
	shown, err := t.Shown(ctx, row.ID)
	if err != nil {
		return reply, err
	}
	for _, env := range shown[0].Envs {
		there, err := t.Get(ctx, row.ID, lv.View{Env: env})
		damaged, isDamaged := errors.AsType[*lv.CorruptError](err)
		switch {
		case isDamaged:
			there.Version = damaged.Version
		case errors.Is(err, lv.ErrNotFound):
			continue // it has been published since
		case err != nil:
			return reply, err
		}
		reply.Shown = append(reply.Shown, shownReply{GrayID: string(env), VersionID: decimal(there.Version)})
	}
	for _, s := range shown[0].Strategies {
		reply.Shown = append(reply.Shown, shownReply{StrategyID: decimal(s.ID), VersionID: decimal(s.Target)})
	}
	if reply.Shown == nil {
		return reply, nil
	}
	deletion, err := t.VersionByID(ctx, row.Version)
	reply.ActionID, reply.ObjectID, reply.VersionID = decimal(row.Version), row.ID, reply.Shown[0].VersionID
	reply.Actor, reply.Time = deletion.By.Actor, deletion.Time.UnixMilli()
	return reply, err
}
