package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// ownRoutes are those under /upkeep/v1/updates.
func (u *updateRoutes) ownRoutes() []web.Route {
	t := web.Table{Root: "/upkeep/v1/updates", Speaks: ownUpdates, Sees: int(Reader), Changes: int(Admin), Body: u.body}
	ofPackage := web.Text("package", "name of a package")
	return []web.Route{
		t.See("listPackages", "/packages", "List the packages, what is installed and what runs", packagesReply{}, u.packages),
		t.See("planUpdate", "/plan", "Tell what an update would do, without doing it", planReply{}, u.plan, ofPackage.Needed(),
			web.Text("version", "as in a run"), web.Truth("allow_downgrade", "as in a run"), web.Truth("allow_prerelease", "as in a run")),
		t.Post("startRun", "/runs", "Start an update", runBody{}, runReply{}, u.startRun).With(http.StatusAccepted),
		t.See("listRuns", "/runs", "List runs, newest first", runsReply{}, u.list, append([]web.Field{ofPackage}, listQuery...)...),
		t.See("getRun", "/runs/{id}", "Show a run", runReply{}, u.runs.one),
		t.Post("cancelRun", "/runs/{id}/cancel", "Ask a run to stop and to undo what it did", reasonBody{}, runReply{}, u.cancel).With(http.StatusAccepted),
		t.Post("rollbackRun", "/runs/{id}/rollback", "Undo a run that has ended", rollbackBody{}, runReply{}, u.rollback).With(http.StatusAccepted),
		t.Post("breakLock", "/locks/{item}/break", "End the lease on a lock", breakBody{}, nil, u.breakLock).With(http.StatusNoContent),
		t.Follow("followRuns", "/events", "Follow what happens to runs, as Server-Sent Events", eventReply{}, u.runs.events, eventsQuery).
			With(http.StatusOK, http.StatusNoContent),
	}
}

// ownUpdates is how they are spoken.
var ownUpdates = web.Own(string(UpdateAPI), heldRefusal, updateFailures...)

var updateFailures = []web.Failure{
	{Err: update.ErrFailed, Status: http.StatusConflict, Slug: "failed", Text: "A check before the update failed", Tell: true}, // whatever it says: who may start a run may know
	{Err: lease.ErrHeld, Status: http.StatusConflict, Slug: "in-progress", Text: "An update is in progress"},
	{Err: update.ErrBusy, Status: http.StatusConflict, Slug: "in-progress", Text: "An update is in progress"},
	{Err: update.ErrDisabled, Status: http.StatusForbidden, Slug: "disabled", Text: "Updates of the package are switched off"},
	{Err: update.ErrUpToDate, Status: http.StatusConflict, Slug: "up-to-date", Text: "The wanted version is installed"},
	{Err: update.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found", Text: "No such package, version or run"},
	{Err: lease.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: update.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: update.ErrTooLate, Status: http.StatusConflict, Slug: "too-late", Text: "The run has passed its point of no return"},
	{Err: update.ErrStale, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: lease.ErrLost, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: lease.ErrFree, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: update.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"},
}

// heldRefusal says until when somebody else has the lock.
func heldRefusal(err error) *web.Refusal {
	held, ok := errors.AsType[*lease.HeldError](err)
	if !ok || errors.Is(err, update.ErrFailed) {
		return nil
	}
	return &web.Refusal{
		Status: http.StatusConflict, Slug: "in-progress", Text: "An update is in progress",
		Detail: fmt.Sprintf("%q is locked until %s", lockName(held.Item), held.Until.UTC().Format(time.RFC3339)),
	}
}

func (u *updateRoutes) packages(c *web.Call) error {
	return web.List(c, `{"packages":[`, web.Map(web.All(u.updates.Packages()), func(name string, _ error) (packageReply, error) {
		status, err := u.updates.Status(c.Context(), name)
		pkg := packageReply{Package: name, Version: status.Version}
		if status.Run != nil {
			run := u.runOf(c, *status.Run)
			pkg.Run = &run
		}
		if status.Lease != nil {
			lock := u.lockOf(c, *status.Lease)
			pkg.Lock = &lock
		}
		return pkg, err
	}), "]}")
}

// plan answers 200 also when a pre-flight check fails: that is a plan too.
func (u *updateRoutes) plan(c *web.Call) error {
	request := update.Request{
		Package: c.Query.Get("package"), Version: c.Query.Get("version"), By: update.By{Actor: c.By.ID},
	}
	var err error
	if request.AllowDowngrade, err = c.Flag("allow_downgrade"); err != nil {
		return err
	}
	if request.AllowPrerelease, err = c.Flag("allow_prerelease"); err != nil {
		return err
	}
	plan, err := u.updates.Plan(c.Context(), request)
	if err != nil && (len(plan.Steps) == 0 || c.Context().Err() != nil) {
		return err
	}
	reply := planReply{
		Package: plan.Package, From: plan.From, Version: plan.Version, UpToDate: plan.UpToDate,
		Steps: append([]string{}, plan.Steps...), Ready: err == nil,
	}
	if err != nil && details(c) {
		reply.Reason = err.Error()
	}
	return c.Reply(http.StatusOK, reply)
}

func (u *updateRoutes) startRun(c *web.Call) error {
	var b runBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	run, err := u.updates.Start(context.WithoutCancel(c.Context()), update.Request{
		Package: b.Package, Version: b.Version, AllowDowngrade: b.AllowDowngrade,
		AllowPrerelease: b.AllowPrerelease, By: update.By(by),
	})
	return u.runs.accepted(c, run, err)
}

func (u *updateRoutes) list(c *web.Call) error {
	return u.runs.list(c, func(live bool, after string) iter.Seq2[update.Run, error] {
		return u.updates.History(c.Context(), update.Query{Package: c.Query.Get("package"), Live: live, After: after})
	})
}

func (u *updateRoutes) cancel(c *web.Call) error {
	var b reasonBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	id := c.ID("id")
	return u.runs.wished(c, id, u.updates.Cancel(c.Context(), id, update.By(by)))
}

func (u *updateRoutes) rollback(c *web.Call) error {
	var b rollbackBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	run, err := u.updates.Rollback(context.WithoutCancel(c.Context()), c.ID("id"), update.By(by))
	return u.runs.accepted(c, run, err)
}

func (u *updateRoutes) breakLock(c *web.Call) error {
	var b breakBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	if err := u.updates.Break(c.Context(), c.ID("item"), b.Token, update.By(by)); err != nil {
		return err
	}
	return c.Reply(http.StatusNoContent, nil)
}
