package httpadapter

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

// ownRoutes are those under /upkeep/v1/rollouts.
func (o *rolloutRoutes) ownRoutes() []web.Route {
	t := web.Table{Root: "/upkeep/v1/rollouts", Speaks: ownRollout, Sees: int(Reader), Changes: int(Admin), Body: o.body}
	plan := t.Post("planRollout", "/plan", "Tell what the documented request would do, without doing it", rollBody{}, rolloutPlanReply{}, o.plan)
	plan.Needs, plan.Changes, plan.Slow = t.Sees, false, true
	inEnv, inService := web.Text("env", "only of this environment"), web.Text("service", "only of the service of this name, in env")
	accepted := http.StatusAccepted
	return append([]web.Route{
		plan,
		t.See("listRolloutRuns", "/runs", "List runs, newest first", rolloutRunsReply{}, o.list, append([]web.Field{inEnv, inService}, listQuery...)...),
		t.See("getRolloutRun", "/runs/{id}", "Show a run", rolloutRunReply{}, o.one),
		t.Post("pauseRollout", "/runs/{id}/pause", "Hold a run at its step", reasonBody{}, rolloutRunReply{}, o.wish(o.controller.Pause)).With(accepted),
		t.Post("resumeRollout", "/runs/{id}/resume", "End the pause of a step", stepBody{}, rolloutRunReply{}, o.resume).With(accepted),
		t.Post("promoteRollout", "/runs/{id}/promote", "Skip the steps that are left", reasonBody{}, rolloutRunReply{}, o.wish(o.controller.Promote)).With(accepted),
		t.Post("cancelRollout", "/runs/{id}/cancel", "Bring all back to where it was before a run", reasonBody{}, rolloutRunReply{}, o.wish(o.controller.Cancel)).With(accepted),
		t.Post("retryRollout", "/runs/{id}/retry", "Start the request of a run once more", rollbackBody{}, rolloutRunReply{}, o.retry).With(accepted),
		t.Follow("followRollouts", "/events", "Follow what happens to runs and services, as Server-Sent Events", rolloutEventReply{}, o.events, eventsQuery).
			With(http.StatusOK, http.StatusNoContent),
	}, o.serviceRoutes(t, inEnv)...)
}

// ownRollout is how they are spoken.
var ownRollout = web.Own(string(RolloutAPI), nil, rolloutFailures...)

var rolloutFailures = []web.Failure{
	{Err: rollout.ErrBusy, Status: http.StatusConflict, Slug: "in-progress", Text: "The service has a run", Tell: true},
	{Err: rollout.ErrUpToDate, Status: http.StatusConflict, Slug: "up-to-date", Text: "Nothing would change", Tell: true},
	{Err: rollout.ErrStale, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile", Tell: true},
	{Err: lease.ErrLost, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: rollout.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found", Text: "No such service, version, snapshot or run", Tell: true},
	{Err: rollout.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: errors.ErrUnsupported, Status: http.StatusUnprocessableEntity, Slug: "unsupported", Text: "This can not be run here", Tell: true},
	{Err: rollout.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"},
}

// runs serves the runs that the caller may see.
func (o *rolloutRoutes) runs(c *web.Call) *runRoutes[rollout.Run, rolloutRunReply, rollout.Event] {
	view := &rolloutView{Controller: o.controller, routes: o, call: c, known: map[string]error{}}
	return &runRoutes[rollout.Run, rolloutRunReply, rollout.Event]{
		path: o.prefix + "/upkeep/v1/rollouts/runs", service: view, show: rolloutRunOf,
		corrupt: rollout.ErrCorrupt, compacted: rollout.ErrCompacted, tell: view.tell,
		facts: func(r *rollout.Run) runFacts { return runFacts{r.ID, r.Seq, r.State.Done(), r.EndedAt, &r.Reason} },
	}
}

// rolloutView is a Controller as far as a caller may see what it does: in the
// environments that are theirs.
type rolloutView struct {
	*rollout.Controller
	routes *rolloutRoutes
	call   *web.Call
	known  map[string]error // of each environment that was asked for
}

func (v *rolloutView) enter(env string) error {
	err, known := v.known[env]
	if !known {
		if err = v.routes.enter(v.call, env); err == nil || errors.Is(err, ErrForbidden) { // else it is asked again
			v.known[env] = err
		}
	}
	return err
}

// Watch ends where an Environments fails: what it did not decide about is told
// to who comes back.
func (v *rolloutView) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return func(yield func(rollout.Event, error) bool) {
		for e, err := range v.Controller.Watch(ctx, after) {
			if err == nil && e.Kind != rollout.EventCorrupt {
				if refused := v.enter(e.Service.Env); !errors.Is(refused, ErrForbidden) {
					err = refused
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Get refuses a run in an environment of somebody else.
func (v *rolloutView) Get(ctx context.Context, id string) (rollout.Run, error) {
	run, err := v.Controller.Get(ctx, id)
	if err != nil {
		return run, err
	}
	if err := v.enter(run.Service.Env); err != nil {
		return rollout.Run{}, err
	}
	return run, nil
}

// tell passes over what happens in an environment of somebody else. What is
// logged, all messages, and what rules look for, are for who may see details.
func (v *rolloutView) tell(e rollout.Event) runEvent {
	told := runEvent{
		Event: web.Event{ID: e.Seq, Name: string(e.Kind), Data: rolloutEventOf(e)},
		run:   e.Run, at: e.Time, ended: e.Kind == rollout.EventEnded, corrupt: e.Kind == rollout.EventCorrupt,
	}
	if !told.corrupt && v.enter(e.Service.Env) != nil {
		told.Name = ""
		return told
	}
	if e.Kind != rollout.EventLog {
		e.Message, e.Split = "", e.Split.Masked()
		told.outline = rolloutEventOf(e)
	}
	return told
}

func rolloutEventOf(e rollout.Event) rolloutEventReply {
	return rolloutEventReply{
		e.Seq, e.Time, e.Run, e.Service.Env, e.Service.Name, e.Kind, e.State, e.Step, e.Percent, splitReplyOf(e.Split), e.Actor, e.Message,
	}
}

// within leaves out of a list what is in an environment of somebody else. An
// Environments that fails ends the list.
func within[T any](v *rolloutView, list iter.Seq2[T, error], env func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range list {
			if err == nil || errors.Is(err, rollout.ErrCorrupt) {
				switch refused := v.enter(env(item)); {
				case errors.Is(refused, ErrForbidden):
					continue
				case refused != nil:
					err = refused
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

func (o *rolloutRoutes) one(c *web.Call) error    { return o.runs(c).one(c) }
func (o *rolloutRoutes) events(c *web.Call) error { return o.runs(c).events(c) }

func (o *rolloutRoutes) list(c *web.Call) error {
	runs, env := o.runs(c), c.Query.Get("env")
	view := runs.service.(*rolloutView)
	if c.Query.Has("env") {
		if err := view.enter(env); err != nil {
			return err
		}
	}
	return runs.list(c, func(live bool, after string) iter.Seq2[rollout.Run, error] {
		q := rollout.Query{Live: live, After: after}
		if name := c.Query.Get("service"); name != "" {
			q.Service = rollout.ServiceID{Env: env, Name: name}
		}
		all := within(view, o.controller.History(c.Context(), q), func(r rollout.Run) string { return r.Service.Env })
		return web.Keep(all, func(r rollout.Run, err error) bool {
			return !c.Query.Has("env") || r.Service.Env == env || err != nil && r.ID == ""
		})
	})
}

func (o *rolloutRoutes) plan(c *web.Call) error {
	asked, err := o.read(c)
	if err != nil {
		return err
	}
	p, err := o.controller.Plan(c.Context(), asked.Request)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, planOf(c, p))
}

// wish is a route that asks something of a run.
func (o *rolloutRoutes) wish(ask func(context.Context, string, rollout.By) error) func(*web.Call) error {
	return func(c *web.Call) error {
		var b reasonBody
		if err := c.DecodeOptional(&b); err != nil {
			return err
		}
		return o.wished(c, b.Reason, ask)
	}
}

func (o *rolloutRoutes) wished(c *web.Call, reason string, ask func(context.Context, string, rollout.By) error) error {
	by, err := c.Because("reason", reason, "")
	if err != nil {
		return err
	}
	runs, id := o.runs(c), c.ID("id")
	if _, err := runs.service.Get(c.Context(), id); err != nil {
		return err
	}
	return runs.wished(c, id, ask(c.Context(), id, rollout.By(by)))
}

func (o *rolloutRoutes) resume(c *web.Call) error {
	var b stepBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Step == nil {
		return web.BadBody.With("step is needed")
	}
	if *b.Step < 0 {
		return web.BadBody.With("step: at least 0")
	}
	return o.wished(c, b.Reason, func(ctx context.Context, id string, by rollout.By) error {
		return o.controller.Resume(ctx, id, *b.Step, by)
	})
}

// retry starts the request of a run, or takes the run back that it took back.
func (o *rolloutRoutes) retry(c *web.Call) error {
	var b rollbackBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	runs := o.runs(c)
	run, err := runs.service.Get(c.Context(), c.ID("id"))
	if err != nil {
		return err
	}
	again := asked{run.Request, run.Undoes}
	again.By = rollout.By(why)
	run, err = o.start(context.WithoutCancel(c.Context()), again)
	return runs.accepted(c, run, err)
}

// serviceKey is where a list of services goes on.
func serviceKey(env, name string) string { return url.PathEscape(env) + "/" + url.PathEscape(name) }

// afterService reads it.
func afterService(c *web.Call) (id rollout.ServiceID, err error) {
	text := c.Query.Get("after")
	if text == "" {
		return id, nil
	}
	env, name, _ := strings.Cut(text, "/")
	env, wrong := url.PathUnescape(env)
	name, worse := url.PathUnescape(name)
	if wrong != nil || worse != nil || name == "" {
		return id, web.BadQuery.With("after is not what next was")
	}
	return rollout.ServiceID{Env: env, Name: name}, nil
}
