package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// updateAPI is the WNCMS Updates API, and what is our own about updates.
type updateAPI struct {
	updates *update.Updater
	items   map[string]string // further itemIds, to packages
}

// documentedRoutes are the two routes of the document.
func (u *updateAPI) documentedRoutes(c Config) []route {
	progress := Reader
	if c.ProgressOpen {
		progress = Nobody
	}
	return []route{{
		Route: Route{
			API: UpdateAPI, Methods: []string{http.MethodPost}, Pattern: "/api/v1/update",
			Needs: Admin, Changes: true, Summary: "Update a package and wait for the end",
		},
		speaks: wncms, body: c.Limits.Body, form: true, slow: true,
		takes: updateBody{}, gives: updateReply{}, handle: u.start,
	}, {
		Route: Route{
			API: UpdateAPI, Methods: []string{http.MethodPost}, Pattern: "/api/v1/update/progress",
			Needs: progress, Summary: "Ask whether an update runs",
		},
		speaks: wncms, body: c.Limits.Body, form: true,
		takes: progressBody{}, gives: progressReply{}, handle: u.progress,
	}}
}

// updateBody asks for an update.
type updateBody struct {
	Token   string `json:"api_token"`
	Package string `json:"package"`
	Version string `json:"version"`
}

// progressBody asks whether one runs.
type progressBody struct {
	Token string `json:"api_token"`
	Item  string `json:"itemId"`
}

// updateReply is the envelope, and the reply to an update.
type updateReply struct {
	Status  string `json:"status"` // success or fail
	Message string `json:"message"`
	Version string `json:"version,omitempty"`
}

type progressReply struct {
	Status   string `json:"status"`
	Message  string `json:"message"`
	Progress int    `json:"progress"` // 0 idle, 1 updating
}

// wncms is how the documented routes are spoken.
var wncms = dialect{api: UpdateAPI, credential: wncmsCredential, failure: wncmsFailure, fails: updateReply{}}

// wncmsCredential is the api_token in the body.
func wncmsCredential(c *call) (Credential, error) {
	var b struct {
		Token string `json:"api_token"`
	}
	err := c.decode(&b)
	return Credential{Secret: b.Token}, err
}

// wncmsFailures gives each error its documented message. Failures of the
// domain have status 200, as in the original.
var wncmsFailures = []failure{
	{ErrNoCredential, http.StatusUnauthorized, "", "Missing api_token", false},
	{ErrBadCredential, http.StatusUnauthorized, "", "Invalid api_token", false},
	{ErrExpired, http.StatusUnauthorized, "", "Invalid api_token", false},
	{ErrForbidden, http.StatusForbidden, "", "You are not authorized to perform this action.", false},
	{lease.ErrHeld, http.StatusOK, "", "Core update in progress", false},
	{update.ErrBusy, http.StatusOK, "", "Core update in progress", false},
	{update.ErrDisabled, http.StatusOK, "", "Core update disabled", false},
	{update.ErrInvalid, http.StatusBadRequest, "", invalidUpdate, false},
	{update.ErrNotFound, http.StatusBadRequest, "", invalidUpdate, false},
	{update.ErrClosed, http.StatusServiceUnavailable, "", "Service unavailable", false},
}

const invalidUpdate = "Invalid update request"

func wncmsFailure(err error) (answer, bool) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		message := refused.text
		switch {
		case refused.status == http.StatusBadRequest:
			message = invalidUpdate
		case refused.detail != "":
			message += ": " + refused.detail
		}
		return wncmsFail(refused.status, message), true
	}
	f, known := find(wncmsFailures, err)
	return wncmsFail(f.status, f.text), known
}

func wncmsFail(status int, message string) answer {
	return answer{status: status, body: updateReply{Status: "fail", Message: message}}
}

// start updates a package and answers when that has ended. The update goes on
// when the client does not wait so long.
func (u *updateAPI) start(c *call) error {
	var b updateBody
	if err := c.decode(&b); err != nil {
		return err
	}
	request := update.Request{Package: b.Package, Version: b.Version, By: update.By{Actor: c.by.ID}}
	run, err := u.updates.Start(context.WithoutCancel(c.r.Context()), request)
	switch {
	case errors.Is(err, update.ErrFailed): // a pre-flight check, whatever it says
		return c.updateFailed("request " + c.report(err))
	case errors.Is(err, update.ErrUpToDate):
		return u.upToDate(c, b.Package)
	case err != nil:
		return err
	}
	return u.await(c, run.ID)
}

// await answers when a run has ended.
func (u *updateAPI) await(c *call, id string) error {
	run, err := u.updates.Wait(c.r.Context(), id)
	switch {
	case run.ID == "": // nobody can tell what became of it
		return err
	case run.State == update.StateSucceeded:
		return c.reply(http.StatusOK, updated(run.Version))
	case run.State.Done():
		return c.updateFailed("run " + id)
	case c.hasLeft(err):
		return err
	}
	c.report(fmt.Errorf("run %q was given up: %w", id, err))
	return c.updateFailed("run " + id)
}

// updateFailed answers with where to look for the reason.
func (c *call) updateFailed(where string) error {
	c.send(wncmsFail(http.StatusOK, "Update failed ("+where+")"))
	return nil
}

// upToDate answers an update that had nothing to do like the one that did it.
func (u *updateAPI) upToDate(c *call, pkg string) error {
	status, err := u.updates.Status(c.r.Context(), pkg)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, updated(status.Version))
}

func updated(version string) updateReply {
	return updateReply{Status: "success", Message: "Successfully updated", Version: version}
}

// progress tells whether an update runs.
func (u *updateAPI) progress(c *call) error {
	var b progressBody
	if err := c.decode(&b); err != nil {
		return err
	}
	if b.Item == "" {
		return update.ErrInvalid
	}
	pkg, known := u.means(b.Item)
	if !known {
		c.send(wncmsFail(http.StatusOK, "Unknown itemId"))
		return nil
	}
	runs, err := u.running(c.r.Context(), pkg)
	if err != nil {
		return err
	}
	reply := progressReply{Status: "success", Message: "Successfully fetched updating progress"}
	if runs {
		reply.Progress = 1
	}
	return c.reply(http.StatusOK, reply)
}

// means returns the package that an itemId stands for, "" for what
// update.DefaultLock is about.
func (u *updateAPI) means(item string) (pkg string, known bool) {
	if slices.Contains(u.updates.Packages(), item) {
		return item, true
	}
	if pkg, mapped := u.items[item]; mapped {
		return pkg, true
	}
	return "", item == update.DefaultLock
}

// running reports whether an update runs: of the package, or of anything under
// update.DefaultLock. A run whose lock has expired does not: its process is
// dead, or does not know yet that it lost. It asks as little as it can, since
// that is what callers poll.
func (u *updateAPI) running(ctx context.Context, pkg string) (bool, error) {
	item, token := update.DefaultLock, int64(0)
	if pkg != "" {
		run, found, err := u.live(ctx, pkg)
		if err != nil || !found {
			return false, err
		}
		item, token = run.Item, run.Token
	}
	held, err := u.updates.Holder(ctx, item)
	if errors.Is(err, lease.ErrFree) {
		return false, nil
	}
	return err == nil && (token == 0 || token == held.Token), err
}

// live returns the package's run that is not done, if there is one.
func (u *updateAPI) live(ctx context.Context, pkg string) (update.Run, bool, error) {
	for run, err := range u.updates.History(ctx, update.Query{Package: pkg, Live: true}) {
		return run, err == nil, err
	}
	return update.Run{}, false, nil
}
