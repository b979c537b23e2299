package firmware

import (
	"context"
	"log/slog"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// tell tells OnFinish of a run that has ended, whose lease is free, and
// remembers that. The caller has entered, or is the work on the run.
func (s *Service) tell(run Run) {
	s.mu.Lock()
	twice := s.telling[run.ID]
	s.telling[run.ID] = true
	s.mu.Unlock()
	if twice {
		return
	}
	level := slog.LevelInfo
	if run.Err() != nil {
		level = slog.LevelError
	}
	s.log(level, string(run.State), run)
	s.config.OnFinish(run.Clone())
	ctx, done := quiet(context.Background())
	defer done()
	_, _ = s.amend(ctx, 0, func(rec *Record) ([]Event, error) { // else it is told once more, after a restart
		p := progressOf(*rec)
		switch run.ID {
		case p.Untold:
			p.Untold = ""
		case runID(rec.Run):
			p.Told = true
		default:
			return nil, record.ErrSame
		}
		p.put(rec)
		return nil, nil
	})
}

// tellFreed is tell once held is free.
func (s *Service) tellFreed(held *lease.Held, run Run) {
	run = run.Clone()
	s.door.Go(func() {
		<-held.Context().Done()
		s.tell(run)
	})
}

func runID(run *Run) string {
	if run == nil {
		return ""
	}
	return run.ID
}

// untold tells OnFinish of the runs whose process died before it could.
func (s *Service) untold(ctx context.Context, rec Record) {
	p := progressOf(rec)
	if p.Untold != "" {
		if run, err := s.Get(ctx, p.Untold); err == nil {
			s.tell(run)
		}
	}
	if rec.Run != nil && rec.Run.State.Done() && !p.Told {
		s.tell(*rec.Run)
	}
}
