package httpadapter

import (
	"encoding/hex"
	"math"
	"slices"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/rollout"
)

// each is f of every element, and never nil.
func each[T, R any](list []T, f func(T) R) []R {
	all := make([]R, 0, len(list))
	for _, v := range list {
		all = append(all, f(v))
	}
	return all
}

func revisionOf(id rollout.RevisionID) *revisionReply {
	if id.Run == "" {
		return nil
	}
	return &revisionReply{id.Version, id.Run}
}

// splitOf is what a caller may see of a split.
func splitOf(c *web.Call, s rollout.Split) splitReply {
	if !details(c) {
		s = s.Masked()
	}
	return splitReplyOf(s)
}

func splitReplyOf(s rollout.Split) splitReply {
	reply := splitReply{
		Weights: each(s.Weights, func(w rollout.Weight) weightReply { return weightReply(w) }),
		Rules: each(s.Rules, func(r rollout.Rule) ruleReply {
			return ruleReply{r.Version, r.Run, matchReply(r.Match), r.Priority}
		}),
	}
	if s := s.Sticky; s != nil {
		reply.Sticky = &stickyReply{s.Header, s.Cookie, s.Issue, s.MaxAge.Milliseconds()}
	}
	return reply
}

// stepsOf is what a caller may see of steps.
func stepsOf(c *web.Call, steps []rollout.Step) []rolloutStepReply {
	return each(steps, func(s rollout.Step) rolloutStepReply { return stepOf(c, s) })
}

func stepOf(c *web.Call, s rollout.Step) rolloutStepReply {
	if !details(c) {
		s = s.Masked()
	}
	return rolloutStepReply{
		s.Percent, max(0, s.Hold.Milliseconds()), s.Manual, s.Replicas,
		each(s.Match, func(m rollout.Match) matchReply { return matchReply(m) }),
	}
}

// specOf is what a caller may see of a content.
func specOf(c *web.Call, s rollout.Spec) specReply {
	if !details(c) {
		s = s.Masked()
	}
	reply := specReply{
		Command: s.Command, Environment: s.Environment, Port: s.Port, CPU: s.CPU, Memory: s.Memory, Logs: s.Logs, Path: s.Path,
		MinReplicas: s.MinReplicas, MaxReplicas: s.MaxReplicas, Extra: s.Extra,
		Volumes: each(s.Volumes, func(v rollout.Volume) volumeReply { return volumeReply(v) }),
		Scaling: each(s.Scaling, func(p rollout.Scaling) scalingReply { return scalingReply(p) }),
		Image:   (*imageReply)(s.Image), Package: (*codeReply)(s.Package), Source: (*sourceReply)(s.Source),
	}
	for _, m := range []*map[string]string{&reply.Environment, &reply.Extra} {
		if *m == nil {
			*m = map[string]string{}
		}
	}
	if a := s.Archive; a != nil {
		reply.Archive = &archiveReply{a.URL, hex.EncodeToString(a.Digest), a.Command}
	}
	if h := s.Health; h != nil {
		reply.Health = &healthReply{
			h.Path, h.Host, h.Headers, h.Status, h.Delay.Milliseconds(), h.Interval.Milliseconds(), h.Timeout.Milliseconds(), h.TCP,
		}
		if h.Headers == nil {
			reply.Health.Headers = map[string]string{}
		}
	}
	return reply
}

// statusWords are what siblings of the document call a state. One that is not
// here is "running".
var statusWords = map[rollout.State]string{
	rollout.StatePaused: "stopped", rollout.StateSucceeded: "finished", rollout.StateRolledBack: "failed", rollout.StateCancelled: "failed",
}

func statusOf(s rollout.State) string {
	if word, known := statusWords[s]; known {
		return word
	}
	return "running"
}

// rolloutRunOf is what a caller may see of a run.
func rolloutRunOf(c *web.Call, r rollout.Run) rolloutRunReply {
	reply := rolloutRunReply{
		ID: r.ID, Env: r.Service.Env, Service: r.Service.Name, From: revisionOf(r.From),
		Revision: revisionReply{r.Revision.Version, r.Revision.Run}, State: r.State, Status: statusOf(r.State), Percent: r.Percent,
		Step: r.Step, Steps: stepsOf(c, r.Strategy.Steps), Split: splitOf(c, r.Split), Before: splitOf(c, r.Before), Spec: specOf(c, r.Spec),
		Reason: r.Reason, Remark: r.Request.Remark, Actor: r.Request.By.Actor, Because: r.Request.By.Reason,
		RequestID: r.Request.By.RequestID, Undoes: r.Undoes, Owner: r.Owner,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt,
		States: each(r.States, func(s rollout.StateRecord) stateReply { return stateOf(c, s) }),
	}
	if w := r.Wish; w != nil {
		reply.Wish = &wishReply{w.Kind, w.Step, byReply{w.By.Actor, w.By.Reason}}
	}
	if !details(c) {
		reply.Reason, reply.Owner = "", ""
	}
	return reply
}

func stateOf(c *web.Call, s rollout.StateRecord) stateReply {
	reply := stateReply{
		State: s.State, Status: "running", Step: s.Step, Reason: s.Reason, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
		Measurements: each(s.Measurements, func(m rollout.Measurement) measurementReply { return measurementOf(c, m) }),
	}
	switch word := statusOf(s.State); {
	case word == "failed" || word == "finished":
		reply.Status = word
	case !s.EndedAt.IsZero():
		reply.Status = "finished"
	}
	if !details(c) {
		reply.Reason = ""
	}
	return reply
}

func measurementOf(c *web.Call, m rollout.Measurement) measurementReply {
	reply := measurementReply{m.Name, m.Verdict, map[string]float64{}, m.Reason, m.Time}
	for name, v := range m.Values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) { // JSON has no such numbers
			reply.Values[name] = v
		}
	}
	if !details(c) {
		reply.Reason = ""
	}
	return reply
}

// serviceOf is what a caller may see of a service.
func serviceOf(c *web.Call, s rollout.Service) serviceReply {
	return serviceReply{
		Env: s.ID.Env, Name: s.ID.Name, Split: splitOf(c, s.Split), Generation: s.Generation, Stable: revisionOf(s.Stable),
		KeptUntil: s.KeptUntil, Held: s.Held, Path: s.Path, UpdatedAt: s.UpdatedAt,
		Revisions: each(s.Revisions, func(r rollout.Revision) serviceRevisionReply {
			return serviceRevisionReply{revisionReply{r.ID.Version, r.ID.Run}, r.Replicas, r.Remark, r.Replaced, specOf(c, r.Spec)}
		}),
	}
}

// serviceStatusOf is what a caller may see of the present of a service.
func serviceStatusOf(c *web.Call, st rollout.Status) serviceStatusReply {
	reply := serviceStatusReply{
		Service: serviceOf(c, st.Service), InForce: splitOf(c, st.Split),
		Stats:    statsReply{st.Stats.Waiting, st.Stats.Open, map[string]countsReply{}},
		Replicas: each(st.Replicas, func(r rollout.Replica) replicaReply { return replicaOf(c, r) }),
	}
	if st.Run != nil {
		run := rolloutRunOf(c, *st.Run)
		reply.Run = &run
	}
	for run, n := range st.Stats.Revisions {
		reply.Stats.Revisions[run] = countsReply{n.Requests, n.Errors, n.Cancelled, each(n.Latency, bucketOf)}
	}
	return reply
}

func bucketOf(b rollout.Bucket) bucketReply {
	return bucketReply{float64(b.Within.Microseconds()) / 1000, b.Count}
}

// replicaOf is a replica; where it is, and what went wrong, is for who may see
// details.
func replicaOf(c *web.Call, r rollout.Replica) replicaReply {
	reply := replicaReply{
		ID: r.ID, revisionReply: revisionReply{r.Revision.Version, r.Revision.Run}, State: r.State,
		StartedAt: r.StartedAt, Restarts: r.Restarts, CPU: r.CPU, Memory: r.Memory, Endpoint: r.Endpoint, Failure: r.Failure,
	}
	if !details(c) {
		reply.Endpoint, reply.Failure = "", ""
	}
	return reply
}

// changeOf is a difference of contents. What an archive is, and where replicas
// are, are for who may see details.
func changeOf(c *web.Call, d rollout.Difference) specChangeReply {
	if !details(c) && slices.Contains([]string{"Archive", "Addresses"}, d.Field) {
		d.From, d.To = "***", "***"
	}
	return specChangeReply(d)
}

func planOf(c *web.Call, p rollout.Plan) rolloutPlanReply {
	return rolloutPlanReply{
		ID: p.ID, From: revisionOf(p.From), Version: p.Version, Spec: specOf(c, p.Spec), UpToDate: p.UpToDate, Live: p.Live,
		Diff: each(p.Diff, func(d rollout.Difference) specChangeReply { return changeOf(c, d) }),
		Steps: each(p.Steps, func(s rollout.PlannedStep) plannedStepReply {
			return plannedStepReply{stepOf(c, s.Step), splitOf(c, s.Split), s.Replicas}
		}),
		Hooks: append([]string{}, p.Hooks...), LongestMS: p.Longest.Milliseconds(), NotEnforced: append([]string{}, p.NotEnforced...),
	}
}
