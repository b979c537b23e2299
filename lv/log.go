package lv

import (
	"context"
	"log/slog"
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

func (t *Table) logRelease(ctx context.Context, r Release, by By) {
	news, ok := releaseNews[r.State]
	if !ok {
		return
	}
	t.log(ctx, news.level, news.message, by, slog.String("env", string(r.Env)), slog.Int64("release", r.ID),
		slog.Int64("reverts", r.Reverts), slog.Int("rows", len(r.Changes)))
}

// logFailed tells of a release that has failed when it was due.
func (t *Table) logFailed(ctx context.Context, r Release, by By, why error) {
	t.log(ctx, slog.LevelError, "lv: release failed", by, slog.String("env", string(r.Env)), slog.Int64("release", r.ID), slog.Any("err", why))
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
