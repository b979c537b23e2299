package sync

import (
	"context"
	"log/slog"
	"strings"
)

// tell tells OnFinish, in the background, of a run that has ended, and remembers
// that. The caller has entered, or is the work on the run.
func (f *Folder) tell(run Run) {
	f.mu.Lock()
	twice := f.telling[run.ID]
	f.telling[run.ID] = true
	f.mu.Unlock()
	if twice {
		return
	}
	level := slog.LevelInfo
	switch {
	case run.Err() != nil:
		level = slog.LevelError
	case run.Kind == KindSync && run.Uploaded+run.Downloaded+run.Deleted+run.Conflicts == 0:
		level = slog.LevelDebug
	}
	f.log(level, string(run.State), run)
	f.door.Go(func() {
		f.config.OnFinish(run)
		ctx, done := quiet(context.Background())
		defer done()
		if _, err := f.records.Update(ctx, 0, []Entry{{Key: keyUntold + run.ID}}); err != nil {
			return // it is told once more after a restart
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.telling, run.ID)
	})
}

// tellLate is untold, unless the Folder has closed.
func (f *Folder) tellLate(ctx context.Context) error {
	ctx, leave, err := f.door.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return f.untold(ctx)
}

// untold tells OnFinish of the runs whose process died before it could.
func (f *Folder) untold(ctx context.Context) error {
	for e, err := range f.records.List(ctx, keyUntold) {
		if err != nil {
			return err
		}
		run, err := f.Get(ctx, strings.TrimPrefix(e.Key, keyUntold))
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		f.tell(run)
	}
	return nil
}
