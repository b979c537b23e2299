package rollout

import (
	"maps"
	"slices"
	"time"
)

// over returns s with what change sets; the rest stays.
func (s Spec) over(change Spec) Spec {
	if change.Command != nil || change.Archive != nil || change.Image != nil || change.Package != nil || change.Source != nil ||
		change.Addresses != nil {
		s.Command, s.Archive, s.Image = change.Command, change.Archive, change.Image
		s.Package, s.Source, s.Addresses = change.Package, change.Source, change.Addresses
	}
	if change.Addresses != nil {
		s.MinReplicas, s.MaxReplicas = nil, nil
	}
	if change.Environment != nil {
		s.Environment = change.Environment
	}
	if change.Volumes != nil {
		s.Volumes = change.Volumes
	}
	if change.Scaling != nil {
		s.Scaling = change.Scaling
	}
	take(&s.Port, change.Port)
	take(&s.Health, change.Health)
	take(&s.CPU, change.CPU)
	take(&s.Memory, change.Memory)
	take(&s.Logs, change.Logs)
	take(&s.Path, change.Path)
	take(&s.MinReplicas, change.MinReplicas)
	take(&s.MaxReplicas, change.MaxReplicas)
	if least := valueOf(s.MinReplicas); change.MaxReplicas == nil && s.MaxReplicas != nil && *s.MaxReplicas < least {
		s.MaxReplicas = &least
	}
	if len(change.Extra) > 0 {
		s.Extra = maps.Clone(s.Extra)
		if s.Extra == nil {
			s.Extra = map[string]string{}
		}
		maps.Copy(s.Extra, change.Extra)
	}
	return s
}

func take[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

func valueOf[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}

// complete fills in the documented defaults, in one form, whatever way the
// content came through an engine.
func (s Spec) complete() Spec {
	s = s.Clone()
	if len(s.Command) == 0 {
		s.Command = nil
	}
	if len(s.Addresses) == 0 {
		s.Addresses = nil
	}
	if len(s.Environment) == 0 {
		s.Environment = nil
	}
	if len(s.Volumes) == 0 {
		s.Volumes = nil
	}
	if len(s.Scaling) == 0 {
		s.Scaling = nil
	}
	if len(s.Extra) == 0 {
		s.Extra = nil
	}
	health := valueOf(s.Health)
	setDefault(&health.Path, "/")
	setDefault(&health.Interval, time.Second)
	setDefault(&health.Timeout, time.Second)
	if len(health.Headers) == 0 {
		health.Headers = nil
	}
	s.Health = &health
	fill(&s.Logs, "stdout")
	fill(&s.Path, "/")
	fill(&s.MinReplicas, max(len(s.Addresses), 1))
	fill(&s.MaxReplicas, max(*s.MinReplicas, 1))
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func fill[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// complete fills in the documented defaults. Whether somebody else has traffic
// decides about the steps.
func (s Strategy) complete(beside bool) Strategy {
	switch {
	case len(s.Steps) > 0:
		s.Steps = slices.Clone(s.Steps)
	case beside:
		s.Steps = []Step{{Percent: 10}, {Percent: 50}, {Percent: 100}}
	default:
		s.Steps = []Step{{Percent: 100, Hold: -1}}
	}
	for i := range s.Steps {
		setDefault(&s.Steps[i].Hold, time.Minute)
		s.Steps[i].Match = slices.Clone(s.Steps[i].Match)
	}
	if s.Surge == 0 && s.Unavailable == 0 {
		s.Surge = 1
	}
	setDefault(&s.MinReady, 3*time.Second)
	setDefault(&s.Deadline, 10*time.Minute)
	setDefault(&s.DrainTimeout, 30*time.Second)
	setDefault(&s.KeepOld, 10*time.Minute)
	setDefault(&s.Tolerance.Requests, 50)
	setDefault(&s.Tolerance.Errors, 1)
	setDefault(&s.Tolerance.Slow, 1.5)
	setDefault(&s.Tolerance.SlowBy, 50*time.Millisecond)
	setDefault(&s.Limits.Fail, 1)
	setDefault(&s.Limits.Inconclusive, 3)
	setDefault(&s.Limits.Error, 4)
	return s
}
