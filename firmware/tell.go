package firmware

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// maxUntold is of how many runs a record remembers that OnFinish was not told.
const maxUntold = 100

// tell tells OnFinish, in the background, of a run that has ended, and remembers
// that. The caller has entered, or is the work on the run.
func (s *Service) tell(run Run) {
	s.mu.Lock()
	twice := s.telling[run.ID]
	s.telling[run.ID] = true
	s.mu.Unlock()
	if twice {
		return
	}
	run = run.Clone()
	level := slog.LevelInfo
	if run.Err() != nil {
		level = slog.LevelError
	}
	s.log(level, string(run.State), run)
	s.door.Go(func() {
		s.config.OnFinish(run)
		s.told(run.ID)
	})
}

// told records that OnFinish has returned: else it is told once more, after a
// restart.
func (s *Service) told(id string) {
	ctx, done := quiet(context.Background())
	defer done()
	_, _ = s.amend(ctx, 0, func(rec *Record) ([]Event, error) {
		p := progressOf(*rec)
		i := slices.Index(p.Untold, id)
		switch {
		case i >= 0:
			p.Untold = slices.Delete(p.Untold, i, i+1)
		case rec.Run != nil && rec.Run.ID == id:
			p.Told = true
		default:
			return nil, record.ErrSame
		}
		p.put(rec)
		return nil, nil
	})
}

// tellFreed is tell once held is free, or would be if nothing else were done
// under it.
func (s *Service) tellFreed(held *lease.Held, run Run) {
	run = run.Clone()
	s.door.Go(func() {
		select {
		case <-held.Context().Done():
		case <-time.After(s.config.LockTTL):
		}
		s.tell(run)
	})
}

// untold tells OnFinish of the runs whose process died before it could.
func (s *Service) untold(ctx context.Context, rec Record) {
	p := progressOf(rec)
	for _, id := range p.Untold {
		if run, err := s.Get(ctx, id); err == nil {
			s.tell(run)
		}
	}
	if rec.Run != nil && rec.Run.State.Done() && !p.Told {
		s.tell(*rec.Run)
	}
}

// follows makes p the progress of a run that follows the one that a record has.
func (p progress) follows(rec Record) progress {
	before := progressOf(rec)
	p.Untold = before.Untold
	if rec.Run != nil && !before.Told {
		p.Untold = append(slices.Clone(p.Untold), rec.Run.ID)
	}
	if extra := len(p.Untold) - maxUntold; extra > 0 {
		p.Untold = p.Untold[extra:]
	}
	return p
}
