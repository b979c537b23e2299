package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
)

// sound is a RunStore of whose records nothing is missing that another library,
// or a hand, has left out: it has its documented default. What makes no sense is
// ErrCorrupt, for that record alone.
type sound struct{ RunStore }

// Create implements RunStore.
func (s sound) Create(ctx context.Context, t Transition) (Transition, error) {
	out, err := s.RunStore.Create(ctx, t)
	if out.Run != nil {
		out.Run.mend()
	}
	return out, err
}

// Get implements RunStore.
func (s sound) Get(ctx context.Context, id string) (Run, error) {
	run, err := s.RunStore.Get(ctx, id)
	if err == nil {
		err = run.mend()
	}
	return run, err
}

// History implements RunStore.
func (s sound) History(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		for run, err := range s.RunStore.History(ctx, q) {
			if err == nil {
				err = run.mend()
			}
			if !yield(run, err) {
				return
			}
		}
	}
}

// Service implements RunStore.
func (s sound) Service(ctx context.Context, id ServiceID) (Service, error) {
	svc, err := s.RunStore.Service(ctx, id)
	switch {
	case err == nil:
		err = svc.mend()
	case errors.Is(err, ErrNotFound):
		err = noService(id)
	}
	return svc, err
}

// Services implements RunStore.
func (s sound) Services(ctx context.Context, q ServiceQuery) iter.Seq2[Service, error] {
	return func(yield func(Service, error) bool) {
		for svc, err := range s.RunStore.Services(ctx, q) {
			if err == nil {
				err = svc.mend()
			}
			if !yield(svc, err) {
				return
			}
		}
	}
}

// mend fills in what a content lacks.
func (s *Spec) mend() error {
	if s.Health == nil || s.Logs == nil || s.Path == nil || s.MinReplicas == nil || s.MaxReplicas == nil {
		*s = s.complete()
	}
	if *s.MinReplicas < 0 || *s.MaxReplicas < max(*s.MinReplicas, 1) || *s.MaxReplicas > maxReplicas {
		return fmt.Errorf("%w: %d to %d replicas", ErrCorrupt, *s.MinReplicas, *s.MaxReplicas)
	}
	return nil
}

// mend fills in what a service lacks.
func (s *Service) mend() error {
	seen := make(map[string]bool, len(s.Revisions))
	for i := range s.Revisions {
		rev := &s.Revisions[i]
		err := rev.Spec.mend()
		switch {
		case rev.ID.Run == "" || rev.ID.Service != s.ID || seen[rev.ID.Run]:
			err = fmt.Errorf("%w: revision %q is none of its own", ErrCorrupt, rev.ID)
		case rev.Replicas < 0 || rev.Replicas > maxReplicas:
			err = fmt.Errorf("%w: %d replicas", ErrCorrupt, rev.Replicas)
		}
		if err != nil {
			return fmt.Errorf("service %q: %w", s.ID, err)
		}
		seen[rev.ID.Run] = true
	}
	err := s.Split.mend()
	if err == nil {
		err = s.routable()
	}
	if err != nil {
		return fmt.Errorf("service %q: %w", s.ID, err)
	}
	return nil
}

// routable refuses what no Router takes, whatever is ready.
func (s *Service) routable() error {
	for _, r := range s.Split.Rules {
		if one(r.Match.Header, r.Match.Query, r.Match.Cookie) != 1 {
			return fmt.Errorf("%w: a rule has not one of header, query and cookie", ErrCorrupt)
		}
	}
	if sticky := s.Split.Sticky; sticky != nil {
		if err := sticky.check(); err != nil {
			return fmt.Errorf("%w: %v", ErrCorrupt, err)
		}
	}
	if s.Path != "" {
		if err := checkPath("Path", s.Path); err != nil {
			return fmt.Errorf("%w: %v", ErrCorrupt, err)
		}
	}
	return nil
}

// mend refuses shares that are none.
func (s Split) mend() error {
	sum := 0
	for i, w := range s.Weights {
		if w.Percent < 0 || w.Percent > 100 || shares(s.Weights[:i], w.Run) {
			return fmt.Errorf("%w: revision %q has %d percent", ErrCorrupt, w.Run, w.Percent)
		}
		sum += w.Percent
	}
	if sum != 0 && sum != 100 { // nobody has a share yet, or all have
		return fmt.Errorf("%w: shares sum to %d", ErrCorrupt, sum)
	}
	return nil
}

// mend fills in what a run lacks.
func (r *Run) mend() error {
	err := r.Spec.mend()
	if err == nil && r.From.Run != "" {
		err = r.Was.mend()
	}
	r.Strategy = r.Strategy.complete(r.From.Run != "")
	switch {
	case err != nil:
	case r.Step < 0 || r.Step >= len(r.Strategy.Steps):
		err = fmt.Errorf("%w: step %d of %d", ErrCorrupt, r.Step, len(r.Strategy.Steps))
	case !r.State.Done():
		err = r.leads()
	}
	if err != nil {
		return fmt.Errorf("run %q: %w", r.ID, err)
	}
	return nil
}

// leads refuses how far a run has come if that leads nowhere: nobody knows then
// what split and what replicas it goes on, or back, to.
func (r *Run) leads() error {
	var p progress
	if err := json.Unmarshal(r.Progress, &p); err != nil {
		return fmt.Errorf("%w: its progress: %v", ErrCorrupt, err)
	}
	if p.Aim.To != r.Revision || !shares(p.Aim.After.Weights, r.Revision.Run) {
		return fmt.Errorf("%w: its progress is not that of %q", ErrCorrupt, r.Revision)
	}
	return nil
}
