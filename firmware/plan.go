package firmware

import (
	"context"
	"maps"
	"slices"
)

// Plan tells what an update would do, by the catalog as last verified and the
// index of the release, which it fetches unless it has told that before. It
// changes nothing. One plan is made at a time.
func (s *Service) Plan(ctx context.Context, r Request) (Plan, error) {
	ctx, leave, err := s.door.Enter(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer leave()
	if err := r.check(); err != nil {
		return Plan{}, err
	}
	rec, err := s.load(ctx)
	if err == nil {
		err = s.stillGood(rec)
	}
	if err != nil {
		return Plan{}, err
	}
	pair, err := s.pair(ctx)
	if err != nil {
		return Plan{}, err
	}
	rec.Running = pair.Running
	release, err := s.choose(rec, r)
	p := Plan{ID: planID(rec.Running, release), From: rec.Running.Version, Release: release}
	if isUpToDate(err) {
		p.UpToDate = true
		return p, nil
	}
	if err != nil {
		return Plan{}, err
	}
	p.Pull, err = s.pulls(ctx, p, rec.Running.Digest)
	if err != nil {
		return Plan{}, err
	}
	return p, nil
}

// maxPlans is how many plans are remembered.
const maxPlans = 16

// planner has what plans have told, so that who asks again costs no pull.
type planner struct {
	turn  chan struct{} // of who makes a plan
	pulls map[string]map[Way]int64
}

func newPlanner() planner {
	return planner{turn: make(chan struct{}, 1), pulls: map[string]map[Way]int64{}}
}

// pulls is what a plan would pull, for whoever's turn it is.
func (s *Service) pulls(ctx context.Context, p Plan, running [32]byte) (map[Way]int64, error) {
	select {
	case s.plans.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.plans.turn }()
	if known, is := s.plans.pulls[p.ID]; is {
		return maps.Clone(known), nil
	}
	index, err := s.index(ctx, p.Release)
	if err != nil {
		return nil, err
	}
	pull := map[Way]int64{}
	f := newFetcher(ctx, s, index, nil, running, nil)
	for _, segment := range index.Segments {
		if i := slices.IndexFunc(segment.Parts, func(p Part) bool { return f.skips(p) == nil }); i >= 0 {
			pull[segment.Parts[i].Way] += segment.Parts[i].Size
		}
	}
	if len(s.plans.pulls) == maxPlans {
		clear(s.plans.pulls)
	}
	s.plans.pulls[p.ID] = pull
	return maps.Clone(pull), nil
}
