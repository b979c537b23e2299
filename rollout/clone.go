package rollout

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing with r that could change.
func (r Run) Clone() Run {
	r.States = each(r.States, StateRecord.clone)
	r.Before, r.Was, r.Progress = r.Before.Clone(), r.Was.Clone(), slices.Clone(r.Progress)
	r.Split, r.Spec, r.Strategy = r.Split.Clone(), r.Spec.Clone(), r.Strategy.Clone()
	r.Request = r.Request.Clone()
	r.Wish = clone(r.Wish)
	return r
}

// Clone returns a copy that shares nothing with s that could change.
func (s Service) Clone() Service {
	s.Revisions = each(s.Revisions, func(r Revision) Revision {
		r.Spec = r.Spec.Clone()
		return r
	})
	s.Split, s.Untold = s.Split.Clone(), slices.Clone(s.Untold)
	return s
}

// Clone returns a copy that shares nothing with t that could change.
func (t Transition) Clone() Transition {
	if t.Run != nil {
		run := t.Run.Clone()
		t.Run = &run
	}
	if t.Service != nil {
		service := t.Service.Clone()
		t.Service = &service
	}
	t.Events = each(t.Events, Event.Clone)
	return t
}

// Clone returns a copy that shares nothing with e that could change.
func (e Event) Clone() Event {
	e.Split = e.Split.Clone()
	return e
}

// Clone returns a copy that shares nothing with i that could change.
func (i Instance) Clone() Instance {
	i.Spec = i.Spec.Clone()
	return i
}

// Clone returns a copy that shares nothing with r that could change.
func (r Request) Clone() Request {
	r.Spec, r.Share = r.Spec.Clone(), clone(r.Share)
	if r.Strategy != nil {
		strategy := r.Strategy.Clone()
		r.Strategy = &strategy
	}
	return r
}

// Clone returns a copy that shares nothing with s that could change.
func (s Split) Clone() Split {
	s.Weights, s.Rules, s.Sticky = slices.Clone(s.Weights), slices.Clone(s.Rules), clone(s.Sticky)
	return s
}

// Clone returns a copy that shares nothing with s that could change.
func (s Strategy) Clone() Strategy {
	s.Steps = each(s.Steps, func(s Step) Step {
		s.Match = slices.Clone(s.Match)
		return s
	})
	return s
}

// Clone returns a copy that shares nothing with s that could change.
func (s Spec) Clone() Spec {
	s.Command, s.Image, s.Package, s.Source = slices.Clone(s.Command), clone(s.Image), clone(s.Package), clone(s.Source)
	if s.Archive = clone(s.Archive); s.Archive != nil {
		s.Archive.Digest, s.Archive.Command = slices.Clone(s.Archive.Digest), slices.Clone(s.Archive.Command)
	}
	s.Addresses = slices.Clone(s.Addresses)
	s.Environment, s.Port = maps.Clone(s.Environment), clone(s.Port)
	if s.Health = clone(s.Health); s.Health != nil {
		s.Health.Headers = maps.Clone(s.Health.Headers)
	}
	s.CPU, s.Memory, s.Volumes = clone(s.CPU), clone(s.Memory), slices.Clone(s.Volumes)
	s.Logs, s.Path = clone(s.Logs), clone(s.Path)
	s.MinReplicas, s.MaxReplicas, s.Scaling = clone(s.MinReplicas), clone(s.MaxReplicas), slices.Clone(s.Scaling)
	s.Extra = maps.Clone(s.Extra)
	return s
}

func (s StateRecord) clone() StateRecord {
	s.Measurements = each(s.Measurements, func(m Measurement) Measurement {
		m.Values = maps.Clone(m.Values)
		return m
	})
	return s
}

// each copies a list, an item at a time. It is nil only if the list is.
func each[T any](list []T, copied func(T) T) []T {
	list = slices.Clone(list)
	for i, item := range list {
		list[i] = copied(item)
	}
	return list
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
