package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// UpdateAPI is the WNCMS Updates API.
const UpdateAPI API = "update"

// updateRoutes is the WNCMS Updates API, and what is our own about updates.
type updateRoutes struct {
	updates *update.Updater
	items   map[string]string // further itemIds, to packages
	prefix  string            // of paths
	body    int64             // bytes of one at most
	runs    *runRoutes[update.Run, runReply, update.Event]
}

// updateAPI is what is served of Config.Update.
func updateAPI(c Config) (api web.API, err error) {
	var packages []string
	if c.Update != nil {
		packages = c.Update.Packages()
		u := &updateRoutes{
			updates: c.Update, items: maps.Clone(c.Items), prefix: c.Prefix, body: cmp.Or(c.Limits.Body, 64<<10),
		}
		u.runs = u.runsOf()
		api.Routes = append(u.documentedRoutes(c.ProgressOpen), u.ownRoutes()...)
		api.Trees = map[string]*web.Dialect{"/api/v1/update": wncms}
		api.About = "The WNCMS Updates API, and what is Upkeep's own about updates"
	}
	for item, pkg := range c.Items {
		switch {
		case item == "":
			return api, fmt.Errorf("the item of package %q is empty", pkg)
		case !slices.Contains(packages, pkg):
			return api, fmt.Errorf("item %q: no package %q", item, pkg)
		case item != pkg && slices.Contains(packages, item):
			return api, fmt.Errorf("item %q is the name of a package and cannot mean package %q", item, pkg)
		}
	}
	return api, nil
}

// documentedRoutes are the two routes of the document.
func (u *updateRoutes) documentedRoutes(progressOpen bool) []web.Route {
	progress, asks := Reader, any(progressBody{})
	if progressOpen {
		progress, asks = Nobody, itemBody{}
	}
	return []web.Route{{
		Name: "updatePackage", API: wncms.API, Methods: []string{http.MethodPost}, Pattern: "/api/v1/update",
		Needs: int(Admin), Changes: true, Summary: "Update a package and wait for the end",
		Speaks: wncms, Body: u.body, Form: true, Slow: true,
		Takes: updateBody{}, Gives: updateReply{}, Handle: u.start,
	}, {
		Name: "getUpdateProgress", API: wncms.API, Methods: []string{http.MethodPost}, Pattern: "/api/v1/update/progress",
		Needs: int(progress), Summary: "Ask whether an update runs",
		Speaks: wncms, Body: u.body, Form: true,
		Takes: asks, Gives: progressReply{}, Handle: u.progress,
	}}
}

// updateBody asks for an update.
type updateBody struct {
	Token   string `json:"api_token" openapi:"needed,format=password"`
	Package string `json:"package" openapi:"needed"`
	Version string `json:"version"`
}

// progressBody asks whether one runs.
type progressBody struct {
	Token string `json:"api_token" openapi:"needed,format=password"`
	itemBody
}

// itemBody is the question without who asks it.
type itemBody struct {
	Item string `json:"itemId" openapi:"needed"`
}

// updateReply is the reply to an update that was done.
type updateReply struct {
	Status  string `json:"status" openapi:"const=success"`
	Message string `json:"message"`
	Version string `json:"version,omitempty"`
}

// failReply is the reply to anything that was not done.
type failReply struct {
	Status  string `json:"status" openapi:"const=fail"`
	Message string `json:"message"`
}

type progressReply struct {
	Status   string `json:"status" openapi:"const=success"`
	Message  string `json:"message"`
	Progress int    `json:"progress" openapi:"enum=0|1"` // 0 idle, 1 updating
}

// wncms is how the documented routes are spoken.
var wncms = &web.Dialect{
	API: string(UpdateAPI), Credential: wncmsCredential, Failures: wncmsFailures, Say: wncmsSay, Terse: true,
	Speech: web.Speech{Name: "wncms", Words: updateWords},
}

// wncmsCredential is the api_token in the body.
func wncmsCredential(c *web.Call) (web.Credential, error) {
	var b struct {
		Token string `json:"api_token"`
	}
	err := c.Decode(&b)
	return web.Credential{Secret: b.Token}, err
}

// wncmsFailures gives each error its documented message. Failures of the
// domain have status 200, as in the original.
var wncmsFailures = []web.Failure{
	{Err: ErrNoCredential, Status: http.StatusUnauthorized, Text: "Missing api_token"},
	{Err: ErrBadCredential, Status: http.StatusUnauthorized, Text: "Invalid api_token"},
	{Err: ErrExpired, Status: http.StatusUnauthorized, Text: "Invalid api_token"},
	{Err: ErrForbidden, Status: http.StatusForbidden, Text: "You are not authorized to perform this action."},
	{Err: lease.ErrHeld, Status: http.StatusOK, Text: "Core update in progress"},
	{Err: update.ErrBusy, Status: http.StatusOK, Text: "Core update in progress"},
	{Err: update.ErrDisabled, Status: http.StatusOK, Text: "Core update disabled"},
	{Err: update.ErrInvalid, Status: http.StatusBadRequest},
	{Err: update.ErrNotFound, Status: http.StatusBadRequest},
	{Err: update.ErrClosed, Status: http.StatusServiceUnavailable, Text: "Service unavailable"},
}

// wncmsSay has one message for everything that is wrong with a request.
func wncmsSay(r *web.Refusal, _ error) web.Answer {
	if r.Status == http.StatusBadRequest {
		return wncmsFail(r.Status, "Invalid update request")
	}
	return wncmsFail(r.Status, r.Message())
}

func wncmsFail(status int, message string) web.Answer {
	return web.Answer{Status: status, Body: failReply{Status: "fail", Message: message}}
}

// start updates a package and answers when that has ended. The update goes on
// when the client does not wait so long.
func (u *updateRoutes) start(c *web.Call) error {
	var b updateBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	request := update.Request{Package: b.Package, Version: b.Version, By: update.By{Actor: c.By.ID}}
	run, err := u.updates.Start(context.WithoutCancel(c.Context()), request)
	switch {
	case errors.Is(err, update.ErrFailed): // a pre-flight check, whatever it says
		return updateFailed(c, "request "+c.Report(err))
	case errors.Is(err, update.ErrUpToDate):
		return u.upToDate(c, b.Package)
	case err != nil:
		return err
	}
	return u.await(c, run.ID)
}

// await answers when a run has ended.
func (u *updateRoutes) await(c *web.Call, id string) error {
	run, err := u.updates.Wait(c.Context(), id)
	switch {
	case run.ID == "": // nobody can tell what became of it
		return err
	case run.State == update.StateSucceeded:
		return c.Reply(http.StatusOK, updated(run.Version))
	case run.State.Done():
		return updateFailed(c, "run "+id)
	case c.HasLeft(err):
		return err
	}
	c.Report(fmt.Errorf("run %q was given up: %w", id, err))
	return updateFailed(c, "run "+id)
}

// updateFailed answers with where to look for the reason.
func updateFailed(c *web.Call, where string) error {
	c.Send(wncmsFail(http.StatusOK, "Update failed ("+where+")"))
	return nil
}

// upToDate answers an update that had nothing to do like the one that did it.
func (u *updateRoutes) upToDate(c *web.Call, pkg string) error {
	status, err := u.updates.Status(c.Context(), pkg)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, updated(status.Version))
}

func updated(version string) updateReply {
	return updateReply{Status: "success", Message: "Successfully updated", Version: version}
}

// progress tells whether an update runs.
func (u *updateRoutes) progress(c *web.Call) error {
	var b itemBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Item == "" {
		return update.ErrInvalid
	}
	pkg, known := u.means(b.Item)
	if !known {
		c.Send(wncmsFail(http.StatusOK, "Unknown itemId"))
		return nil
	}
	runs, err := u.running(c.Context(), pkg)
	if err != nil {
		return err
	}
	reply := progressReply{Status: "success", Message: "Successfully fetched updating progress"}
	if runs {
		reply.Progress = 1
	}
	return c.Reply(http.StatusOK, reply)
}

// means returns the package that an itemId stands for, "" for what
// update.DefaultLock is about.
func (u *updateRoutes) means(item string) (pkg string, known bool) {
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
func (u *updateRoutes) running(ctx context.Context, pkg string) (bool, error) {
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
func (u *updateRoutes) live(ctx context.Context, pkg string) (update.Run, bool, error) {
	for run, err := range u.updates.History(ctx, update.Query{Package: pkg, Live: true}) {
		return run, err == nil, err
	}
	return update.Run{}, false, nil
}
