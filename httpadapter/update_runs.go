package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

const (
	maxReason   = 4 << 10 // bytes of a reason
	defaultPage = 50      // items of a list
	maxPage     = 100
)

// ownRoutes are those under /upkeep/v1/updates.
func (u *updateAPI) ownRoutes(c Config) []route {
	const root = "/upkeep/v1/updates"
	speaks := ownDialect(UpdateAPI, updateFailure)
	see := func(pattern, summary string, gives any, handle func(*call) error, query ...field) route {
		return route{
			Route:  Route{API: UpdateAPI, Methods: reading, Pattern: root + pattern, Needs: Reader, Summary: summary},
			speaks: speaks, query: query, gives: gives, handle: handle,
		}
	}
	change := func(pattern, summary string, takes, gives any, handle func(*call) error) route {
		return route{
			Route: Route{
				API: UpdateAPI, Methods: []string{http.MethodPost}, Pattern: root + pattern,
				Needs: Admin, Changes: true, Summary: summary,
			},
			speaks: speaks, body: c.Limits.Body, takes: takes, gives: gives, handle: handle,
		}
	}
	ofPackage := field{"package", "name of a package"}
	events := see("/events", "Follow what happens to runs, as Server-Sent Events", eventReply{}, u.events,
		field{"after", "begin after the event with this seq; default: now; Last-Event-ID goes before it; compacted says that it is not there"},
		field{"run", "only the events of this run, from its first if after is not given; the stream ends with them, and then has no content"})
	events.Methods = []string{http.MethodGet}
	return []route{
		see("/packages", "List the packages, what is installed and what runs", packagesReply{}, u.packages),
		see("/plan", "Tell what an update would do, without doing it", planReply{}, u.plan, ofPackage,
			field{"version", "as in a run"}, field{"allow_downgrade", "true or false"}, field{"allow_prerelease", "true or false"}),
		change("/runs", "Start an update", runBody{}, runReply{}, u.startRun),
		see("/runs", "List runs, newest first", runsReply{}, u.runs, ofPackage,
			field{"live", "true: only those that are not done"}, field{"after", "continue after the run with this id"},
			field{"limit", "at most so many, 1 to 100; default 50"}),
		see("/runs/{id}", "Show a run", runReply{}, u.run),
		change("/runs/{id}/cancel", "Ask a run to stop and to undo what it did", reasonBody{}, runReply{}, u.cancel),
		change("/runs/{id}/rollback", "Undo a run that has ended", rollbackBody{}, runReply{}, u.rollback),
		change("/locks/{item}/break", "End the lease on a lock", breakBody{}, nil, u.breakLock),
		events,
	}
}

// updateProblems has the problems of domain errors.
var updateProblems = ownFailure([]failure{
	{lease.ErrHeld, http.StatusConflict, "in-progress", "An update is in progress", false},
	{update.ErrBusy, http.StatusConflict, "in-progress", "An update is in progress", false},
	{update.ErrDisabled, http.StatusForbidden, "disabled", "Updates of the package are switched off", false},
	{update.ErrUpToDate, http.StatusConflict, "up-to-date", "The wanted version is installed", false},
	{update.ErrNotFound, http.StatusNotFound, "not-found", "No such package, version or run", false},
	{lease.ErrInvalid, http.StatusBadRequest, "invalid-request", "The request can not succeed as it stands", true},
	{update.ErrInvalid, http.StatusBadRequest, "invalid-request", "The request can not succeed as it stands", true},
	{update.ErrTooLate, http.StatusConflict, "too-late", "The run has passed its point of no return", false},
	{update.ErrStale, http.StatusConflict, "overtaken", "Something else has happened meanwhile", false},
	{lease.ErrLost, http.StatusConflict, "overtaken", "Something else has happened meanwhile", false},
	{lease.ErrFree, http.StatusConflict, "overtaken", "Something else has happened meanwhile", false},
	{update.ErrClosed, http.StatusServiceUnavailable, "unavailable", "Service unavailable", false},
})

func updateFailure(err error) (answer, bool) {
	if held, ok := errors.AsType[*lease.HeldError](err); ok {
		return problemAnswer(http.StatusConflict, "in-progress", "An update is in progress",
			fmt.Sprintf("%q is locked until %s", lockName(held.Item), held.Until.UTC().Format(time.RFC3339))), true
	}
	return updateProblems(err)
}

// accepted answers with a run that goes on in the background.
func (c *call) accepted(r update.Run) error {
	c.w.Header().Set("Location", c.adapter.config.Prefix+"/upkeep/v1/updates/runs/"+url.PathEscape(r.ID))
	return c.reply(http.StatusAccepted, c.runOf(r))
}

func (u *updateAPI) packages(c *call) error {
	reply := packagesReply{Packages: []packageReply{}}
	for _, name := range u.updates.Packages() {
		status, err := u.updates.Status(c.r.Context(), name)
		if err != nil {
			return err
		}
		pkg := packageReply{Package: name, Version: status.Version}
		if status.Run != nil {
			run := c.runOf(*status.Run)
			pkg.Run = &run
		}
		if status.Lease != nil {
			lock := c.lockOf(*status.Lease)
			pkg.Lock = &lock
		}
		reply.Packages = append(reply.Packages, pkg)
	}
	return c.reply(http.StatusOK, reply)
}

// plan answers 200 also when a pre-flight check fails: that is a plan too.
func (u *updateAPI) plan(c *call) error {
	request := update.Request{
		Package: c.query.Get("package"), Version: c.query.Get("version"), By: update.By{Actor: c.by.ID},
	}
	var err error
	if request.AllowDowngrade, err = c.flag("allow_downgrade"); err != nil {
		return err
	}
	if request.AllowPrerelease, err = c.flag("allow_prerelease"); err != nil {
		return err
	}
	plan, err := u.updates.Plan(c.r.Context(), request)
	if err != nil && (len(plan.Steps) == 0 || c.r.Context().Err() != nil) {
		return err
	}
	reply := planReply{
		Package: plan.Package, From: plan.From, Version: plan.Version, UpToDate: plan.UpToDate,
		Steps: append([]string{}, plan.Steps...), Ready: err == nil,
	}
	if err != nil && c.details() {
		reply.Reason = err.Error()
	}
	return c.reply(http.StatusOK, reply)
}

func (u *updateAPI) startRun(c *call) error {
	var b runBody
	if err := c.decode(&b); err != nil {
		return err
	}
	by, err := c.by.because(b.Reason)
	if err != nil {
		return err
	}
	by.RequestID = b.RequestID
	run, err := u.updates.Start(context.WithoutCancel(c.r.Context()), update.Request{
		Package: b.Package, Version: b.Version, AllowDowngrade: b.AllowDowngrade,
		AllowPrerelease: b.AllowPrerelease, By: by,
	})
	if errors.Is(err, update.ErrFailed) { // a pre-flight check, whatever it says: who may start a run may know
		c.send(problemAnswer(http.StatusConflict, "failed", "A check before the update failed", err.Error()))
		return nil
	}
	if err != nil {
		return err
	}
	return c.accepted(run)
}

func (u *updateAPI) runs(c *call) error {
	query := update.Query{Package: c.query.Get("package"), After: c.query.Get("after")}
	var err error
	if query.Live, err = c.flag("live"); err != nil {
		return err
	}
	limit, err := c.number("limit", 1, defaultPage)
	if err != nil {
		return err
	}
	limit = min(limit, maxPage)
	reply := runsReply{Runs: []runReply{}}
	for run, err := range u.updates.History(c.r.Context(), query) {
		if err != nil && !(run.ID != "" && errors.Is(err, update.ErrCorrupt)) {
			return err
		}
		if err != nil {
			run.Reason = "the record is damaged"
		}
		if len(reply.Runs) == int(limit) {
			reply.Next = reply.Runs[limit-1].ID
			break
		}
		reply.Runs = append(reply.Runs, c.runOf(run))
	}
	return c.reply(http.StatusOK, reply)
}

func (u *updateAPI) run(c *call) error {
	run, err := u.updates.Get(c.r.Context(), c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, c.runOf(run))
}

// because is who asks, and why.
func (p Principal) because(reason string) (update.By, error) {
	if len(reason) > maxReason {
		return update.By{}, badBody.with(fmt.Sprintf("reason: at most %d bytes", maxReason))
	}
	return update.By{Actor: p.ID, Reason: reason}, nil
}

func (u *updateAPI) cancel(c *call) error {
	var b reasonBody
	if err := c.decodeOptional(&b); err != nil {
		return err
	}
	by, err := c.by.because(b.Reason)
	if err != nil {
		return err
	}
	id := c.r.PathValue("id")
	if err := u.updates.Cancel(c.r.Context(), id, by); err != nil {
		return err
	}
	run, err := u.updates.Get(c.r.Context(), id)
	if err != nil {
		return err
	}
	return c.accepted(run)
}

func (u *updateAPI) rollback(c *call) error {
	var b rollbackBody
	if err := c.decodeOptional(&b); err != nil {
		return err
	}
	by, err := c.by.because(b.Reason)
	if err != nil {
		return err
	}
	by.RequestID = b.RequestID
	run, err := u.updates.Rollback(context.WithoutCancel(c.r.Context()), c.r.PathValue("id"), by)
	if err != nil {
		return err
	}
	return c.accepted(run)
}

func (u *updateAPI) breakLock(c *call) error {
	var b breakBody
	if err := c.decode(&b); err != nil {
		return err
	}
	by, err := c.by.because(b.Reason)
	if err != nil {
		return err
	}
	if err := u.updates.Break(c.r.Context(), c.r.PathValue("item"), b.Token, by); err != nil {
		return err
	}
	return c.reply(http.StatusNoContent, nil)
}
