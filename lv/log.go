package lv

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
)

// releaseNews is what the log calls a release in a state, and its level. One that
// has failed is told of by who knows why.
var releaseNews = map[ReleaseState]struct {
	level   slog.Level
	message string
}{
	ReleaseDraft:     {slog.LevelInfo, "lv: release drafted"},
	ReleaseApproved:  {slog.LevelInfo, "lv: release approved"},
	ReleaseScheduled: {slog.LevelInfo, "lv: release scheduled"},
	ReleaseApplied:   {slog.LevelInfo, "lv: release applied"},
	ReleaseCancelled: {slog.LevelWarn, "lv: release cancelled"},
}

// maxNamed is how many rows of a release the log names.
const maxNamed = 3

// progress is how far releases have come: the last event that applied one, and
// the last that was drafted. What a write returns is its own doing only if it is
// further than they were before.
type progress struct{ applied, drafted int64 }

func (s *Service) progress() progress {
	return progress{applied: max(s.applied.Load(), s.follower.position.Load()), drafted: s.drafted.Load()}
}

// logRelease tells of what a write has left, unless it was there before: nothing
// would have moved, or the request is repeated.
func (t *Table) logRelease(ctx context.Context, r Release, by By, before progress) {
	news, ok := releaseNews[r.State]
	switch {
	case !ok, r.Last != by:
		return
	case r.State == ReleaseApplied && r.Seq <= before.applied, r.State == ReleaseDraft && r.ID <= before.drafted:
		return
	case r.State == ReleaseApplied:
		raise(&t.service.applied, r.Seq)
	case r.State == ReleaseDraft:
		raise(&t.service.drafted, r.ID)
	}
	if t.service.config.Logger.Enabled(ctx, news.level) {
		t.log(ctx, news.level, news.message, by, aboutRelease(r)...)
	}
}

// aboutRelease names the rows of a release when they are few.
func aboutRelease(r Release) []slog.Attr {
	attrs := []slog.Attr{slog.String("env", cmp.Or(string(r.Env), "production")), slog.Int64("release", r.ID)}
	if r.Reverts != 0 {
		attrs = append(attrs, slog.Int64("reverts", r.Reverts))
	}
	attrs = append(attrs, slog.Int("rows", len(r.Changes)))
	if len(r.Changes) > maxNamed {
		return attrs
	}
	ids := make([]string, len(r.Changes))
	for i, c := range r.Changes {
		ids[i] = c.Row
	}
	return append(attrs, slog.Any("ids", ids))
}

// raise makes a number at least n.
func raise(number *atomic.Int64, n int64) {
	for {
		was := number.Load()
		if was >= n || number.CompareAndSwap(was, n) {
			return
		}
	}
}

// logFailed tells of a release that has failed when it was due.
func (t *Table) logFailed(ctx context.Context, r Release, by By, why error) {
	t.log(ctx, slog.LevelError, "lv: release failed", by, append(aboutRelease(r), slog.Any("err", why))...)
}

func (t *Table) logStrategy(ctx context.Context, s Strategy, by By) {
	message := "lv: strategy saved"
	if s.Deleted {
		message = "lv: strategy deleted"
	}
	t.log(ctx, slog.LevelInfo, message, by, slog.Int64("strategy", s.ID), slog.String("title", s.Title),
		slog.String("row", s.Row), slog.Int64("version", int64(s.Target)), slog.Bool("disabled", s.Disabled))
}

// log writes a line about the table, with who and why.
func (t *Table) log(ctx context.Context, level slog.Level, message string, by By, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("app", t.ID.App), slog.String("schema", t.ID.Schema)}, more...)
	attrs = append(attrs, slog.String("actor", by.Actor), slog.String("reason", by.Reason))
	t.service.config.Logger.LogAttrs(ctx, level, message, attrs...)
}
