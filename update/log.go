package update

import (
	"context"
	"log/slog"
)

// log says what happens to a run.
func (u *Updater) log(level slog.Level, what string, run Run, more ...any) {
	about := []any{"package", run.Package, "run", run.ID, "from", run.From, "version", run.Version}
	for _, a := range []struct{ key, value string }{
		{"undoes", run.Undoes}, {"actor", run.Request.By.Actor}, {"reason", run.Request.By.Reason},
	} {
		if a.value != "" {
			about = append(about, a.key, a.value)
		}
	}
	u.config.Logger.Log(context.Background(), level, "update: "+what, append(about, more...)...)
}

// logEnd says how a run has ended.
func (u *Updater) logEnd(run Run) {
	switch run.State {
	case StateSucceeded:
		u.log(slog.LevelInfo, "succeeded", run)
	case StateRolledBack:
		u.log(slog.LevelWarn, "rolled back", run, "err", run.Reason)
	case StateCancelled:
		u.log(slog.LevelWarn, "cancelled", run, "err", run.Reason)
	default: // a person must look
		u.log(slog.LevelError, "failed", run, "err", run.Reason)
	}
}
