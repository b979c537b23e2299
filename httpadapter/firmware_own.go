package httpadapter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
)

// ownRoutes are those under /upkeep/v1/firmware.
func (f *firmwareRoutes) ownRoutes() []web.Route {
	t := web.Table{Root: "/upkeep/v1/firmware", Speaks: ownFirmware, Sees: int(Reader), Changes: int(Admin), Body: f.body}
	plan := t.Post("planFirmware", "/plan", "Tell what an update would do, without doing it", firmwareBody{}, firmwarePlanReply{}, f.plan)
	plan.Needs, plan.Changes, plan.Slow = t.Sees, false, true
	// They wait for a lease, and for the feed.
	update := t.Post("updateFirmware", "/update", "Start an update", firmwareBody{}, firmwareRunReply{}, f.start).With(http.StatusAccepted)
	confirm := t.Post("confirmFirmware", "/confirm", "Keep the image that is on trial", reasonBody{}, nil, f.confirm).With(http.StatusNoContent)
	rollback := t.Post("rollbackFirmware", "/rollback", "Go back to the image before that of a run, and restart", firmwareRunBody{}, firmwareRunReply{}, f.rollback).With(http.StatusAccepted)
	update.Slow, confirm.Slow, rollback.Slow = true, true, true
	check := t.Post("checkFirmware", "/check", "Fetch and verify the catalog", nil, firmwareCheckReply{}, f.check)
	check.Body, check.Slow = 0, true
	upload := t.Post("uploadFirmware", "/upload", "Install a bundle", nil, firmwareRunReply{}, f.upload).With(http.StatusAccepted).Asks(
		web.Text("reason", "why, at most 4,096 bytes"), web.Text("request_id", "a repeated one gets the run that the first began"))
	upload.Body, upload.Slow, upload.File = f.image, true, true
	return []web.Route{
		t.See("getFirmwareStatus", "/status", "Show what the device does, and the run that it works on", firmwareStatusReply{}, f.shown),
		plan, check, upload, update, confirm, rollback,
		t.Post("applyFirmware", "/apply", "Let a run that waits go on now", firmwareRunBody{}, firmwareRunReply{}, f.wish(f.service.Apply)).With(http.StatusAccepted),
		t.Post("cancelFirmware", "/cancel", "Ask a run to stop", firmwareRunBody{}, firmwareRunReply{}, f.wish(f.service.Cancel)).With(http.StatusAccepted),
		t.See("getFirmwareSettings", "/settings", "Show what an operator may change", firmwareSettings{}, f.settings),
		t.Change("setFirmwareSettings", http.MethodPatch, "/settings", "Change settings: those that are named", web.Partly{Of: firmwareSettings{}}, firmwareSettings{}, f.configure),
		t.See("listFirmwareRuns", "/runs", "List runs, newest first", firmwareRunsReply{}, f.list, listQuery...),
		t.See("getFirmwareRun", "/runs/{id}", "Show a run", firmwareRunReply{}, f.runs.one),
		t.Follow("followFirmware", "/events", "Follow what happens to the device, as Server-Sent Events", firmwareEventReply{}, f.runs.events, eventsQuery).
			With(http.StatusOK, http.StatusNoContent),
	}
}

// ownFirmware is how they are spoken.
var ownFirmware = web.Own(string(FirmwareAPI), feedRefusal, firmwareFailures...)

const feedFails = "The feed does not answer, or the slots do not work"

var firmwareFailures = []web.Failure{
	{Err: firmware.ErrBusy, Status: http.StatusConflict, Slug: "in-progress", Text: "The device is busy with a run", Tell: true},
	{Err: firmware.ErrDisabled, Status: http.StatusForbidden, Slug: "disabled", Text: "Updates are switched off"},
	{Err: firmware.ErrUpToDate, Status: http.StatusConflict, Slug: "up-to-date", Text: "There is nothing to do", Tell: true},
	{Err: firmware.ErrRolledBack, Status: http.StatusConflict, Slug: "rolled-back", Text: "What is newer was rolled back on this device", Tell: true},
	{Err: firmware.ErrTooLate, Status: http.StatusConflict, Slug: "too-late", Text: "The run has passed its point of no return", Tell: true},
	{Err: firmware.ErrStale, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile", Tell: true},
	{Err: lease.ErrLost, Status: http.StatusConflict, Slug: "overtaken", Text: "Something else has happened meanwhile"},
	{Err: firmware.ErrCancelled, Status: http.StatusConflict, Slug: "cancelled", Text: "The run was cancelled"},
	{Err: firmware.ErrSignature, Status: http.StatusUnprocessableEntity, Slug: "bad-signature", Text: "Too few trusted keys have signed this", Tell: true},
	{Err: firmware.ErrExpired, Status: http.StatusUnprocessableEntity, Slug: "expired", Text: "What is signed has expired", Tell: true},
	{Err: firmware.ErrReplayed, Status: http.StatusUnprocessableEntity, Slug: "replayed", Text: "This is older than what was accepted before", Tell: true},
	{Err: firmware.ErrDowngrade, Status: http.StatusUnprocessableEntity, Slug: "downgrade", Text: "This is a downgrade", Tell: true},
	{Err: firmware.ErrMismatch, Status: http.StatusUnprocessableEntity, Slug: "mismatch", Text: "This is not for this device", Tell: true},
	{Err: firmware.ErrNoSpace, Status: http.StatusUnprocessableEntity, Slug: "no-space", Text: "The image does not fit its slot", Tell: true},
	{Err: firmware.ErrCorrupt, Status: http.StatusUnprocessableEntity, Slug: "corrupt", Text: "The bytes are not those that were signed", Tell: true},
	{Err: firmware.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found", Text: "No such version or run", Tell: true},
	{Err: firmware.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: firmware.ErrUnavailable, Status: http.StatusBadGateway, Slug: "feed-unavailable", Text: feedFails},
	{Err: firmware.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"},
}

// feedRefusal says when a feed wants to be asked again.
func feedRefusal(err error) *web.Refusal {
	said, ok := errors.AsType[*firmware.UnavailableError](err)
	if !ok || said.After <= 0 {
		return nil
	}
	refused := &web.Refusal{Status: http.StatusBadGateway, Slug: "feed-unavailable", Text: feedFails}
	return refused.After(said.After)
}

// request reads what an update is asked for.
func (f *firmwareRoutes) request(c *web.Call) (firmware.Request, error) {
	var b firmwareBody
	if err := c.DecodeOptional(&b); err != nil {
		return firmware.Request{}, err
	}
	by, err := c.Because("reason", b.Reason, b.RequestID)
	return firmware.Request{Version: b.Version, AllowDowngrade: b.AllowDowngrade, Plan: b.Plan, By: firmware.By(by)}, err
}

func (f *firmwareRoutes) plan(c *web.Call) error {
	request, err := f.request(c)
	if err != nil {
		return err
	}
	p, err := f.service.Plan(c.Context(), request)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, firmwarePlanReply{
		ID: p.ID, From: p.From, Version: p.Release.Version, Digest: hex.EncodeToString(p.Release.Digest[:]), Size: p.Release.Size,
		UpToDate: p.UpToDate, Pull: waysOf(p.Pull),
	})
}

func (f *firmwareRoutes) check(c *web.Call) error {
	catalog, err := f.service.Check(c.Context())
	if err != nil {
		return err
	}
	st, err := f.service.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, firmwareCheckReply{
		Number: catalog.Number, Issued: catalog.Issued, Expires: catalog.Expires, Newest: st.Newest.Version, Offered: !st.UpToDate,
	})
}

func (f *firmwareRoutes) start(c *web.Call) error {
	request, err := f.request(c)
	if err != nil {
		return err
	}
	run, err := f.service.Start(context.WithoutCancel(c.Context()), request)
	return f.runs.accepted(c, run, err)
}

// shown is Status, for who may know more than the document has.
func (f *firmwareRoutes) shown(c *web.Call) error {
	st, err := f.service.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, firmwareStatusOf(c, st))
}

// upload streams the part "file" of a form into the slot.
func (f *firmwareRoutes) upload(c *web.Call) error {
	by, err := c.Because("reason", c.Query.Get("reason"), c.Query.Get("request_id"))
	if err != nil {
		return err
	}
	file, err := c.Upload()
	if err != nil {
		return err
	}
	run, err := f.service.Upload(c.Context(), file, firmware.By(by))
	return f.runs.accepted(c, run, err)
}

// about returns the run that a body is about, and who asks, and why.
func (f *firmwareRoutes) about(c *web.Call) (id string, by firmware.By, err error) {
	var b firmwareRunBody
	if err := c.DecodeOptional(&b); err != nil {
		return "", by, err
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil || b.Run != "" {
		return b.Run, firmware.By(why), err
	}
	for run, err := range f.service.History(c.Context(), firmware.Query{}) {
		return run.ID, firmware.By(why), err
	}
	return "", by, fmt.Errorf("%w: there is no run", firmware.ErrNotFound)
}

// wish is a route that asks something of a run.
func (f *firmwareRoutes) wish(ask func(context.Context, string, firmware.By) error) func(*web.Call) error {
	return func(c *web.Call) error {
		id, by, err := f.about(c)
		if err != nil {
			return err
		}
		return f.runs.wished(c, id, ask(c.Context(), id, by))
	}
}

func (f *firmwareRoutes) confirm(c *web.Call) error {
	var b reasonBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	if err := f.service.Confirm(context.WithoutCancel(c.Context()), firmware.By(by)); err != nil {
		return err
	}
	return c.Reply(http.StatusNoContent, nil)
}

func (f *firmwareRoutes) rollback(c *web.Call) error {
	id, by, err := f.about(c)
	if err != nil {
		return err
	}
	run, err := f.service.Rollback(context.WithoutCancel(c.Context()), id, by)
	return f.runs.accepted(c, run, err)
}

func (f *firmwareRoutes) settings(c *web.Call) error {
	st, err := f.service.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, firmwareSettingsOf(st.Settings))
}

// configure changes what the body names, and leaves the rest.
func (f *firmwareRoutes) configure(c *web.Call) error {
	var b firmwareChange
	if err := c.Decode(&b); err != nil {
		return err
	}
	by, err := c.Because("reason", "", "")
	if err != nil {
		return err
	}
	var now firmware.Settings
	change := func(s *firmware.Settings) {
		b.apply(s)
		now = *s
	}
	if err := f.service.Configure(c.Context(), change, firmware.By(by)); err != nil {
		return err
	}
	return c.Reply(http.StatusOK, firmwareSettingsOf(now))
}

func (f *firmwareRoutes) list(c *web.Call) error {
	return f.runs.list(c, func(live bool, after string) iter.Seq2[firmware.Run, error] {
		return f.service.History(c.Context(), firmware.Query{Live: live, After: after})
	})
}
