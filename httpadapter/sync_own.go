package httpadapter

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// ownRoutes are those under /upkeep/v1/sync.
func (s *syncRoutes) ownRoutes() []web.Route {
	t := web.Table{Root: "/upkeep/v1/sync", Speaks: ownSync, Sees: int(Reader), Changes: int(Admin), Body: s.body}
	plan := t.Post("planSync", "/plan", "Tell what a sync would do, page by page, without doing it", syncBody{}, syncPlanReply{}, s.plan).Asks(
		web.Whole("after", "continue after so many actions, of the plan that the body names", 0), limitQuery)
	plan.Needs, plan.Changes, plan.Slow = t.Sees, false, true
	routes := []web.Route{
		t.See("getSyncStatus", "/status", "Show what the folder does, and its settings", syncStatusReply{}, s.shown),
		plan,
		t.Post("startSync", "/runs", "Start a sync", syncBody{}, syncRunReply{}, s.start).With(http.StatusAccepted),
		t.See("listSyncRuns", "/runs", "List runs, newest first", syncRunsReply{}, s.list, listQuery...),
		t.See("getSyncRun", "/runs/{id}", "Show a run", syncRunReply{}, s.runs.one),
		t.Post("cancelSync", "/runs/{id}/cancel", "Ask a run to stop", reasonBody{}, syncRunReply{}, s.cancel).With(http.StatusAccepted),
		t.Follow("followSyncs", "/events", "Follow what happens to the folder, as Server-Sent Events", syncEventReply{}, s.runs.events, eventsQuery).
			With(http.StatusOK, http.StatusNoContent),
	}
	if s.folder == nil {
		return routes
	}
	return append(append(routes, s.folderRoutes(t)...), s.historyRoutes(t)...)
}

// ownSync is how they are spoken.
var ownSync = web.Own(string(SyncAPI), remoteRefusal, syncFailures...)

const remoteFails = "The remote does not answer"

var syncFailures = []web.Failure{
	{Err: cloudsync.ErrBooting, Status: http.StatusConflict, Slug: "booting", Text: "The first sync after the start is in progress", Tell: true},
	{Err: cloudsync.ErrBusy, Status: http.StatusConflict, Slug: "in-progress", Text: "The folder has a run", Tell: true},
	{Err: cloudsync.ErrDisabled, Status: http.StatusForbidden, Slug: "disabled", Text: "Syncs are switched off"},
	{Err: cloudsync.ErrGuard, Status: http.StatusConflict, Slug: "guarded", Text: "A guard refuses this", Tell: true},
	{Err: cloudsync.ErrForked, Status: http.StatusConflict, Slug: "forked", Text: "The remote has another history", Tell: true},
	{Err: cloudsync.ErrStale, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile", Tell: true},
	{Err: lease.ErrLost, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: cloudsync.ErrExists, Status: http.StatusConflict, Slug: "exists", Text: "This is there already", Tell: true},
	{Err: cloudsync.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found", Text: "No such run, commit, file or remote", Tell: true},
	{Err: cloudsync.ErrNotEmpty, Status: http.StatusConflict, Slug: "not-empty", Text: "The folder is not empty", Tell: true},
	{Err: cloudsync.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: cloudsync.ErrPassphrase, Status: http.StatusUnprocessableEntity, Slug: "wrong-passphrase", Text: "The passphrase does not open the remote"},
	{Err: cloudsync.ErrCorrupt, Status: http.StatusUnprocessableEntity, Slug: "corrupt", Text: "An object is damaged", Tell: true},
	{Err: cloudsync.ErrUnsafe, Status: http.StatusUnprocessableEntity, Slug: "unsafe", Text: "The remote overwrites objects", Tell: true},
	{Err: cloudsync.ErrFull, Status: http.StatusInsufficientStorage, Slug: "full", Text: "No space is left"},
	{Err: cloudsync.ErrDenied, Status: http.StatusBadGateway, Slug: "remote-denies", Text: "The remote denies access"},
	{Err: cloudsync.ErrUnavailable, Status: http.StatusBadGateway, Slug: "remote-unavailable", Text: remoteFails},
	{Err: cloudsync.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"},
}

// remoteRefusal says when a remote wants to be asked again.
func remoteRefusal(err error) *web.Refusal {
	said, ok := errors.AsType[*cloudsync.UnavailableError](err)
	if !ok || said.After <= 0 {
		return nil
	}
	refused := &web.Refusal{Status: http.StatusBadGateway, Slug: "remote-unavailable", Text: remoteFails}
	return refused.After(said.After)
}

// request reads what is asked for.
func (s *syncRoutes) request(c *web.Call) (cloudsync.Request, error) {
	var b syncBody
	if err := c.DecodeOptional(&b); err != nil {
		return cloudsync.Request{}, err
	}
	mode := cloudsync.Mode(b.Mode)
	switch mode {
	case cloudsync.ModeTwoWay, cloudsync.ModeForcePush, cloudsync.ModeForcePull:
	default:
		return cloudsync.Request{}, web.BadBody.With("mode is neither empty nor force_push nor force_pull")
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	return cloudsync.Request{
		Mode: mode, Force: b.Force, Fresh: b.Fresh, Remote: b.Remote, Plan: b.Plan, By: cloudsync.By(why),
	}, err
}

// plan answers with a page of a plan. Each page is of a plan made anew: the body
// names it from the second page on, so that all are of one.
func (s *syncRoutes) plan(c *web.Call) error {
	after, err := c.Number("after", 0, 0)
	if err != nil {
		return err
	}
	limit, err := c.Limit(maxActions)
	if err != nil {
		return err
	}
	request, err := s.request(c)
	if err != nil {
		return err
	}
	if err := c.BeLong(); err != nil {
		return err
	}
	wanted := request.Plan
	request.Plan = ""
	p, err := s.syncer.Plan(c.Context(), request)
	if err != nil {
		return err
	}
	if wanted != "" && wanted != p.ID {
		return overtakenPlan
	}
	return s.page(c, p, int(min(after, int64(len(p.Actions)))), limit)
}

var overtakenPlan = &web.Refusal{Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile", Detail: "the plan is another one now"}

func (s *syncRoutes) start(c *web.Call) error {
	request, err := s.request(c)
	if err != nil {
		return err
	}
	run, err := s.syncer.Start(context.WithoutCancel(c.Context()), request)
	return s.runs.accepted(c, run, err)
}

func (s *syncRoutes) cancel(c *web.Call) error {
	var b reasonBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	why, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	id := c.ID("id")
	return s.runs.wished(c, id, s.syncer.Cancel(c.Context(), id, cloudsync.By(why)))
}

func (s *syncRoutes) list(c *web.Call) error {
	return s.runs.list(c, func(live bool, after string) iter.Seq2[cloudsync.Run, error] {
		return s.syncer.History(c.Context(), cloudsync.Query{Live: live, After: after})
	})
}

// shown is Status.
func (s *syncRoutes) shown(c *web.Call) error {
	st, err := s.syncer.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, syncStatusOf(c, st))
}
