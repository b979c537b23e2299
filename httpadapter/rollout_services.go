package httpadapter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/rollout"
)

// serviceRoutes are those about services. A service is in the environment that
// env of the query names, "" if it is not there.
func (o *rolloutRoutes) serviceRoutes(t web.Table, inEnv web.Field) []web.Route {
	list := t.See("listServices", "/services", "List services by their names", servicesReply{}, o.services, inEnv,
		web.Text("after", "continue after what next of the last page says"),
		web.Whole("limit", "at most so many, and never more than 100; default 50", 1))
	t.Root += "/services/{name}"
	t.Query = []web.Field{web.Text("env", "the environment of the service; default: none")}
	logs := t.SeeByGet("getRevisionLogs", "/revisions/{run}/logs", "Show the last output of what a run has made", logsReply{}, o.logs,
		web.Whole("tail", "so many lines at most, and never more than 10,000; default 1,000", 1))
	logs.Needs = t.Changes
	remove := t.Change("removeService", http.MethodDelete, "", "Drain and end a version without traffic, or all of a service", nil, nil, o.remove).With(http.StatusNoContent)
	remove.Body, remove.Query = 0, append([]web.Field{
		web.Text("version", "which one"), web.Truth("whole", "the whole service, whatever traffic it has, in place of a version"),
		web.Text("reason", "why, at most 4,096 bytes"),
	}, t.Query...)
	all := []web.Route{
		t.Post("rollbackService", "/rollback", "Take back the last run that has succeeded", rolloutUndoBody{}, rolloutRunReply{}, o.rollback).With(http.StatusAccepted),
		t.Post("splitService", "/split", "Set shares, rules and stickiness of the versions there are", rolloutShiftBody{}, serviceReply{}, o.shift),
		t.Post("holdService", "/hold", "Let requests wait", reasonBody{}, serviceReply{}, o.alter(o.controller.Hold)),
		t.Post("openService", "/open", "Let requests wait no more", reasonBody{}, serviceReply{}, o.alter(o.controller.Open)),
		remove,
	}
	for i := range all {
		all[i].Slow = true
	}
	return append([]web.Route{
		list,
		t.See("getService", "", "Show a service as it is", serviceStatusReply{}, o.service),
		t.See("listServiceSnapshots", "/snapshots", "List contents that a service has had, newest first", contentsReply{}, o.snapshots,
			web.Text("after", "continue after the snapshot of this name"),
			web.Whole("limit", "at most so many, and never more than 100; default 50", 1)),
		logs,
	}, all...)
}

// named is the service of a path, in an environment that the caller may enter.
func (o *rolloutRoutes) named(c *web.Call) (rollout.ServiceID, error) {
	id := rollout.ServiceID{Env: c.Query.Get("env"), Name: c.ID("name")}
	return id, o.enter(c, id.Env)
}

func (o *rolloutRoutes) services(c *web.Call) error {
	view := o.runs(c).service.(*rolloutView)
	env := c.Query.Get("env")
	if c.Query.Has("env") {
		if err := view.enter(env); err != nil {
			return err
		}
	}
	limit, err := c.Limit(maxRuns)
	if err != nil {
		return err
	}
	after, err := afterService(c)
	if err != nil {
		return err
	}
	all := o.controller.Services(c.Context(), rollout.ServiceQuery{Env: env, After: after})
	mine := within(view, all, func(s rollout.Service) string { return s.ID.Env })
	asked := web.Keep(mine, func(s rollout.Service, err error) bool {
		return !c.Query.Has("env") || s.ID.Env == env || err != nil && s.ID.Name == ""
	})
	return web.Page(c, "services", limit, web.Map(asked, func(s rollout.Service, err error) (serviceReply, error) {
		reply := serviceOf(c, s)
		if s.ID.Name != "" && errors.Is(err, rollout.ErrCorrupt) {
			reply.Reason, err = "the record is damaged", nil
		}
		return reply, err
	}), func(s serviceReply) string { return serviceKey(s.Env, s.Name) })
}

func (o *rolloutRoutes) service(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	st, err := o.controller.Status(c.Context(), id)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, serviceStatusOf(c, st))
}

func (o *rolloutRoutes) snapshots(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit(maxRuns)
	if err != nil {
		return err
	}
	all := o.controller.History(c.Context(), rollout.Query{Service: id, State: rollout.StateSucceeded, After: c.Query.Get("after")})
	whole := web.Keep(all, func(r rollout.Run, err error) bool { return r.ID == "" || !errors.Is(err, rollout.ErrCorrupt) })
	return web.Page(c, "snapshots", limit, web.Map(whole, func(r rollout.Run, err error) (contentReply, error) {
		return contentReply{
			r.ID, r.Revision.Version, r.Request.Remark, specOf(c, r.Spec), r.Request.By.Actor, r.CreatedAt, r.EndedAt,
		}, err
	}), func(s contentReply) string { return s.Name })
}

func (o *rolloutRoutes) rollback(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	var b rolloutUndoBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	last, err := o.succeeded(c.Context(), id, b.Run)
	if err != nil {
		return err
	}
	run, err := o.controller.Rollback(context.WithoutCancel(c.Context()), last, rollout.By(by))
	return o.runs(c).accepted(c, run, err)
}

// succeeded is a run of a service: the one that is named, or the last that has
// succeeded.
func (o *rolloutRoutes) succeeded(ctx context.Context, s rollout.ServiceID, id string) (string, error) {
	if id != "" {
		run, err := o.controller.Get(ctx, id)
		if err == nil && run.Service != s {
			err = fmt.Errorf("%w: run %q of service %q in environment %q", rollout.ErrNotFound, id, s.Name, s.Env)
		}
		return id, err
	}
	for run, err := range o.controller.History(ctx, rollout.Query{Service: s, State: rollout.StateSucceeded}) {
		return run.ID, err
	}
	return "", fmt.Errorf("%w: no run of service %q in environment %q has succeeded", rollout.ErrNotFound, s.Name, s.Env)
}

// alter is a route that changes a service without a run.
func (o *rolloutRoutes) alter(change func(context.Context, rollout.ServiceID, rollout.By) error) func(*web.Call) error {
	return func(c *web.Call) error {
		id, err := o.named(c)
		if err != nil {
			return err
		}
		var b reasonBody
		if err := c.DecodeOptional(&b); err != nil {
			return err
		}
		return o.altered(c, id, b.Reason, func(ctx context.Context, by rollout.By) error { return change(ctx, id, by) })
	}
}

// altered answers with the service as a change has left it.
func (o *rolloutRoutes) altered(c *web.Call, id rollout.ServiceID, reason string, change func(context.Context, rollout.By) error) error {
	by, err := c.Because("reason", reason, "")
	if err != nil {
		return err
	}
	if err := change(c.Context(), rollout.By(by)); err != nil {
		return err
	}
	st, err := o.controller.Status(c.Context(), id)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, serviceOf(c, st.Service))
}

func (o *rolloutRoutes) shift(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	var b rolloutShiftBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Weights == nil {
		return web.BadBody.With("weights are needed")
	}
	split := rollout.Split{
		Weights: each(b.Weights, func(w rolloutWeightBody) rollout.Weight { return rollout.Weight(w) }),
		Rules: each(b.Rules, func(r rolloutRuleBody) rollout.Rule {
			return rollout.Rule{
				Version: r.Version, Run: r.Run, Priority: r.Priority,
				Match: rollout.Match{Header: r.Header, Query: r.Query, Cookie: r.Cookie, Value: r.Value},
			}
		}),
	}
	if s := b.Sticky; s != nil {
		if s.MaxAgeMS < 0 || s.MaxAgeMS > maxAge.Milliseconds() {
			return web.BadBody.With("sticky.max_age_ms: at most a year")
		}
		split.Sticky = &rollout.Sticky{Header: s.Header, Cookie: s.Cookie, Issue: s.Issue, MaxAge: time.Duration(s.MaxAgeMS) * time.Millisecond}
	}
	return o.altered(c, id, b.Reason, func(ctx context.Context, by rollout.By) error {
		return o.controller.Shift(ctx, id, split, by)
	})
}

// maxAge is how long a cookie may last that keeps a visitor.
const maxAge = 366 * 24 * time.Hour

func (o *rolloutRoutes) remove(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	version := c.Query.Get("version")
	whole, err := c.Flag("whole")
	if err != nil {
		return err
	}
	if whole == (version != "") {
		return web.BadQuery.With("one of version and whole is needed")
	}
	by, err := c.Because("reason", c.Query.Get("reason"), "")
	if err != nil {
		return err
	}
	if whole {
		err = o.controller.RemoveService(c.Context(), id, rollout.By(by))
	} else {
		err = o.controller.Remove(c.Context(), id, version, rollout.By(by))
	}
	if err != nil {
		return err
	}
	return c.Reply(http.StatusNoContent, nil)
}

// maxOutput bounds the bytes of output that are told.
const maxOutput = 1 << 20

func (o *rolloutRoutes) logs(c *web.Call) error {
	id, err := o.named(c)
	if err != nil {
		return err
	}
	tail, err := c.Number("tail", 1, 1000)
	if err != nil {
		return err
	}
	run, err := o.controller.Get(c.Context(), c.ID("run"))
	if err == nil && (run.Service != id || run.Revision.Run != run.ID) {
		err = fmt.Errorf("%w: run %q has made nothing of service %q in environment %q", rollout.ErrNotFound, run.ID, id.Name, id.Env)
	}
	if err != nil {
		return err
	}
	output, err := o.controller.Logs(c.Context(), run.Revision, rollout.LogQuery{Tail: int(min(tail, 10_000))})
	if err != nil {
		return err
	}
	text, cut, err := end(output)
	if err := cmp.Or(err, output.Close()); err != nil {
		return err
	}
	reply := logsReply{Lines: []string{}, Cut: cut}
	for line := range strings.Lines(string(text)) {
		reply.Lines = append(reply.Lines, strings.TrimSuffix(line, "\n"))
	}
	return c.Reply(http.StatusOK, reply)
}

// end returns the last lines of a text, of maxOutput bytes at most, and whether
// there were more.
func end(r io.Reader) (text []byte, cut bool, err error) {
	part := make([]byte, 32<<10)
	for {
		n, err := r.Read(part)
		if text = append(text, part[:n]...); len(text) > 2*maxOutput {
			text, cut = append(text[:0], text[len(text)-maxOutput:]...), true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	if len(text) > maxOutput {
		text, cut = text[len(text)-maxOutput:], true
	}
	if cut {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text, cut, nil
}
