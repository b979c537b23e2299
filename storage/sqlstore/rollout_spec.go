package sqlstore

import (
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

type rolloutSpec struct {
	Command     []bytesText       `json:"command,omitzero"`
	Archive     *rolloutArchive   `json:"archive,omitzero"`
	Image       *rolloutImage     `json:"image,omitzero"`
	Package     *rolloutPackage   `json:"package,omitzero"`
	Source      *rolloutSource    `json:"source,omitzero"`
	Addresses   []bytesText       `json:"addresses,omitzero"`
	Environment []pair[bytesText] `json:"environment,omitzero"`
	Port        *int              `json:"port,omitzero"`
	Health      *rolloutHealth    `json:"health,omitzero"`
	CPU         *number           `json:"cpu,omitzero"`
	Memory      *int64            `json:"memory,omitzero"`
	Volumes     []rolloutVolume   `json:"volumes,omitzero"`
	Logs        *bytesText        `json:"logs,omitzero"`
	Path        *bytesText        `json:"path,omitzero"`
	MinReplicas *int              `json:"min_replicas,omitzero"`
	MaxReplicas *int              `json:"max_replicas,omitzero"`
	Scaling     []rolloutScaling  `json:"scaling,omitzero"`
	Extra       []pair[bytesText] `json:"extra,omitzero"`
}

type rolloutArchive struct {
	URL     bytesText   `json:"url,omitzero"`
	Digest  []byte      `json:"digest,omitzero"`
	Command []bytesText `json:"command,omitzero"`
}

type rolloutImage struct {
	Repository bytesText `json:"repository,omitzero"`
	Tag        bytesText `json:"tag,omitzero"`
	URL        bytesText `json:"url,omitzero"`
}

type rolloutPackage struct {
	Name    bytesText `json:"name,omitzero"`
	Version bytesText `json:"version,omitzero"`
}

type rolloutSource struct {
	Kind       bytesText `json:"kind,omitzero"`
	URL        bytesText `json:"url,omitzero"`
	Branch     bytesText `json:"branch,omitzero"`
	Dir        bytesText `json:"dir,omitzero"`
	Dockerfile bytesText `json:"dockerfile,omitzero"`
}

type rolloutHealth struct {
	Path     bytesText         `json:"path,omitzero"`
	Host     bytesText         `json:"host,omitzero"`
	Headers  []pair[bytesText] `json:"headers,omitzero"`
	Status   int               `json:"status,omitzero"`
	Delay    time.Duration     `json:"delay_ns,omitzero"`
	Interval time.Duration     `json:"interval_ns,omitzero"`
	Timeout  time.Duration     `json:"timeout_ns,omitzero"`
	TCP      bool              `json:"tcp,omitzero"`
}

type rolloutVolume struct {
	Name      bytesText `json:"name,omitzero"`
	Path      bytesText `json:"path,omitzero"`
	ReadOnly  bool      `json:"read_only,omitzero"`
	Server    bytesText `json:"server,omitzero"`
	From      bytesText `json:"from,omitzero"`
	Secret    bytesText `json:"secret,omitzero"`
	Temporary bool      `json:"temporary,omitzero"`
}

type rolloutScaling struct {
	Resource  bytesText `json:"resource,omitzero" entry:"id"`
	Threshold int       `json:"threshold,omitzero"`
}

type rolloutSplit struct {
	Weights []rolloutWeight `json:"weights,omitzero"`
	Rules   []rolloutRule   `json:"rules,omitzero"`
	Sticky  *rolloutSticky  `json:"sticky,omitzero"`
}

type rolloutWeight struct {
	Version bytesText `json:"version,omitzero" entry:"id"`
	Run     bytesText `json:"run,omitzero" entry:"id"`
	Percent int       `json:"percent,omitzero"`
}

type rolloutRule struct {
	Version  bytesText    `json:"version,omitzero"`
	Run      bytesText    `json:"run,omitzero"`
	Match    rolloutMatch `json:"match,omitzero"`
	Priority int          `json:"priority,omitzero"`
}

type rolloutMatch struct {
	Header bytesText `json:"header,omitzero"`
	Query  bytesText `json:"query,omitzero"`
	Cookie bytesText `json:"cookie,omitzero"`
	Value  bytesText `json:"value,omitzero"`
}

type rolloutSticky struct {
	Header bytesText     `json:"header,omitzero"`
	Cookie bytesText     `json:"cookie,omitzero"`
	Issue  bool          `json:"issue,omitzero"`
	MaxAge time.Duration `json:"max_age_ns,omitzero"`
}

type rolloutStrategy struct {
	Steps        []rolloutStep    `json:"steps,omitzero"`
	Surge        int              `json:"surge,omitzero"`
	Unavailable  int              `json:"unavailable,omitzero"`
	MinReady     time.Duration    `json:"min_ready_ns,omitzero"`
	Deadline     time.Duration    `json:"deadline_ns,omitzero"`
	DrainTimeout time.Duration    `json:"drain_timeout_ns,omitzero"`
	KeepOld      time.Duration    `json:"keep_old_ns,omitzero"`
	Tolerance    rolloutTolerance `json:"tolerance,omitzero"`
	Limits       rolloutLimits    `json:"limits,omitzero"`
}

type rolloutStep struct {
	Percent  int            `json:"percent,omitzero"`
	Hold     time.Duration  `json:"hold_ns,omitzero"`
	Manual   bool           `json:"manual,omitzero"`
	Replicas int            `json:"replicas,omitzero"`
	Match    []rolloutMatch `json:"match,omitzero"`
}

type rolloutTolerance struct {
	Off      bool          `json:"off,omitzero"`
	Requests int           `json:"requests,omitzero"`
	Errors   number        `json:"errors,omitzero"`
	Slow     number        `json:"slow,omitzero"`
	SlowBy   time.Duration `json:"slow_by,omitzero"`
}

type rolloutLimits struct {
	Fail         int `json:"fail,omitzero"`
	Inconclusive int `json:"inconclusive,omitzero"`
	Error        int `json:"error,omitzero"`
}

func rolloutSpecOf(s rollout.Spec) rolloutSpec {
	return rolloutSpec{
		Command: converted(s.Command, toBytes),
		Archive: optional(s.Archive, func(a rollout.Archive) rolloutArchive {
			return rolloutArchive{bytesText(a.URL), a.Digest, converted(a.Command, toBytes)}
		}),
		Image: optional(s.Image, func(i rollout.Image) rolloutImage {
			return rolloutImage{bytesText(i.Repository), bytesText(i.Tag), bytesText(i.URL)}
		}),
		Package: optional(s.Package, func(p rollout.Package) rolloutPackage { return rolloutPackage{bytesText(p.Name), bytesText(p.Version)} }),
		Source: optional(s.Source, func(s rollout.Source) rolloutSource {
			return rolloutSource{bytesText(s.Kind), bytesText(s.URL), bytesText(s.Branch), bytesText(s.Dir), bytesText(s.Dockerfile)}
		}),
		Addresses:   converted(s.Addresses, toBytes),
		Environment: pairsOf(s.Environment, toBytes), Port: s.Port,
		Health: optional(s.Health, func(h rollout.Health) rolloutHealth {
			return rolloutHealth{
				bytesText(h.Path), bytesText(h.Host), pairsOf(h.Headers, toBytes), h.Status, h.Delay, h.Interval, h.Timeout, h.TCP,
			}
		}),
		CPU: optional(s.CPU, toNumber), Memory: s.Memory,
		Volumes: converted(s.Volumes, func(v rollout.Volume) rolloutVolume {
			return rolloutVolume{
				bytesText(v.Name), bytesText(v.Path), v.ReadOnly, bytesText(v.Server), bytesText(v.From), bytesText(v.Secret), v.Temporary,
			}
		}),
		Logs: optional(s.Logs, toBytes), Path: optional(s.Path, toBytes), MinReplicas: s.MinReplicas, MaxReplicas: s.MaxReplicas,
		Scaling: converted(s.Scaling, func(s rollout.Scaling) rolloutScaling { return rolloutScaling{bytesText(s.Resource), s.Threshold} }),
		Extra:   pairsOf(s.Extra, toBytes),
	}
}

func (s rolloutSpec) spec() rollout.Spec {
	return rollout.Spec{
		Command: converted(s.Command, toString),
		Archive: optional(s.Archive, func(a rolloutArchive) rollout.Archive {
			return rollout.Archive{URL: string(a.URL), Digest: a.Digest, Command: converted(a.Command, toString)}
		}),
		Image: optional(s.Image, func(i rolloutImage) rollout.Image {
			return rollout.Image{Repository: string(i.Repository), Tag: string(i.Tag), URL: string(i.URL)}
		}),
		Package: optional(s.Package, func(p rolloutPackage) rollout.Package {
			return rollout.Package{Name: string(p.Name), Version: string(p.Version)}
		}),
		Source: optional(s.Source, func(s rolloutSource) rollout.Source {
			return rollout.Source{
				Kind: string(s.Kind), URL: string(s.URL), Branch: string(s.Branch), Dir: string(s.Dir), Dockerfile: string(s.Dockerfile),
			}
		}),
		Addresses:   converted(s.Addresses, toString),
		Environment: mapOf[string](s.Environment, toString), Port: s.Port,
		Health: optional(s.Health, func(h rolloutHealth) rollout.Health {
			return rollout.Health{
				Path: string(h.Path), Host: string(h.Host), Headers: mapOf[string](h.Headers, toString), Status: h.Status,
				Delay: h.Delay, Interval: h.Interval, Timeout: h.Timeout, TCP: h.TCP,
			}
		}),
		CPU: optional(s.CPU, toFloat), Memory: s.Memory,
		Volumes: converted(s.Volumes, func(v rolloutVolume) rollout.Volume {
			return rollout.Volume{
				Name: string(v.Name), Path: string(v.Path), ReadOnly: v.ReadOnly, Server: string(v.Server), From: string(v.From),
				Secret: string(v.Secret), Temporary: v.Temporary,
			}
		}),
		Logs: optional(s.Logs, toString), Path: optional(s.Path, toString), MinReplicas: s.MinReplicas, MaxReplicas: s.MaxReplicas,
		Scaling: converted(s.Scaling, func(s rolloutScaling) rollout.Scaling {
			return rollout.Scaling{Resource: string(s.Resource), Threshold: s.Threshold}
		}),
		Extra: mapOf[string](s.Extra, toString),
	}
}

func rolloutMatchOf(m rollout.Match) rolloutMatch {
	return rolloutMatch{bytesText(m.Header), bytesText(m.Query), bytesText(m.Cookie), bytesText(m.Value)}
}

func (m rolloutMatch) match() rollout.Match {
	return rollout.Match{Header: string(m.Header), Query: string(m.Query), Cookie: string(m.Cookie), Value: string(m.Value)}
}

func rolloutSplitOf(s rollout.Split) rolloutSplit {
	return rolloutSplit{
		Weights: converted(s.Weights, func(w rollout.Weight) rolloutWeight {
			return rolloutWeight{bytesText(w.Version), bytesText(w.Run), w.Percent}
		}),
		Rules: converted(s.Rules, func(r rollout.Rule) rolloutRule {
			return rolloutRule{bytesText(r.Version), bytesText(r.Run), rolloutMatchOf(r.Match), r.Priority}
		}),
		Sticky: optional(s.Sticky, func(s rollout.Sticky) rolloutSticky {
			return rolloutSticky{bytesText(s.Header), bytesText(s.Cookie), s.Issue, s.MaxAge}
		}),
	}
}

func (s rolloutSplit) split() rollout.Split {
	return rollout.Split{
		Weights: converted(s.Weights, func(w rolloutWeight) rollout.Weight {
			return rollout.Weight{Version: string(w.Version), Run: string(w.Run), Percent: w.Percent}
		}),
		Rules: converted(s.Rules, func(r rolloutRule) rollout.Rule {
			return rollout.Rule{Version: string(r.Version), Run: string(r.Run), Match: r.Match.match(), Priority: r.Priority}
		}),
		Sticky: optional(s.Sticky, func(s rolloutSticky) rollout.Sticky {
			return rollout.Sticky{Header: string(s.Header), Cookie: string(s.Cookie), Issue: s.Issue, MaxAge: s.MaxAge}
		}),
	}
}

func rolloutStrategyOf(s rollout.Strategy) rolloutStrategy {
	return rolloutStrategy{
		Steps: converted(s.Steps, func(s rollout.Step) rolloutStep {
			return rolloutStep{s.Percent, s.Hold, s.Manual, s.Replicas, converted(s.Match, rolloutMatchOf)}
		}),
		Surge: s.Surge, Unavailable: s.Unavailable, MinReady: s.MinReady, Deadline: s.Deadline, DrainTimeout: s.DrainTimeout, KeepOld: s.KeepOld,
		Tolerance: rolloutTolerance{s.Tolerance.Off, s.Tolerance.Requests, number(s.Tolerance.Errors), number(s.Tolerance.Slow), s.Tolerance.SlowBy},
		Limits:    rolloutLimits(s.Limits),
	}
}

func (s rolloutStrategy) strategy() rollout.Strategy {
	return rollout.Strategy{
		Steps: converted(s.Steps, func(s rolloutStep) rollout.Step {
			return rollout.Step{
				Percent: s.Percent, Hold: s.Hold, Manual: s.Manual, Replicas: s.Replicas, Match: converted(s.Match, rolloutMatch.match),
			}
		}),
		Surge: s.Surge, Unavailable: s.Unavailable, MinReady: s.MinReady, Deadline: s.Deadline, DrainTimeout: s.DrainTimeout, KeepOld: s.KeepOld,
		Tolerance: rollout.Tolerance{
			Off: s.Tolerance.Off, Requests: s.Tolerance.Requests, Errors: float64(s.Tolerance.Errors), Slow: float64(s.Tolerance.Slow), SlowBy: s.Tolerance.SlowBy,
		},
		Limits: rollout.Limits(s.Limits),
	}
}
