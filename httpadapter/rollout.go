package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
)

// rolloutRoutes is the rolling update of WeChat CloudBase, and what is our own
// about rollouts.
type rolloutRoutes struct {
	controller   *rollout.Controller
	environments func(ctx context.Context, p Principal, env string) error
	prefix       string // of paths
	body         int64  // bytes of one at most
}

// rolloutAPI is what is served of Config.Rollout.
func rolloutAPI(c Config) (api web.API, err error) {
	if c.Rollout == nil {
		if c.Environments != nil {
			err = errors.New("there are Environments, and no Rollout")
		}
		return api, err
	}
	o := &rolloutRoutes{
		controller: c.Rollout, environments: c.Environments, prefix: c.Prefix, body: cmp.Or(c.Limits.Body, 64<<10),
	}
	if o.environments == nil {
		o.environments = inScopes
	}
	api.Routes = append([]web.Route{o.documentedRoute()}, o.ownRoutes()...)
	api.Trees = map[string]*web.Dialect{"/componenttcb": wechat}
	api.About = "The rolling update of WeChat CloudBase, and what is Upkeep's own about rollouts"
	return api, nil
}

// inScopes lets a principal act in the environments that are its Scopes.
func inScopes(_ context.Context, p Principal, env string) error {
	if !p.within(env, "") {
		return errOutOfScope
	}
	return nil
}

// enter refuses who may not act in an environment.
func (o *rolloutRoutes) enter(c *web.Call, env string) error {
	p, _ := c.By.Known.(Principal)
	return o.environments(c.Context(), p, env)
}

// documentedRoute is the one route of the document.
func (o *rolloutRoutes) documentedRoute() web.Route {
	return web.Route{
		Name: "updateCloudbaseServiceVersion", API: wechat.API, Methods: []string{http.MethodPost},
		Pattern: "/componenttcb/rollupdatecloudbaserunserverversion",
		Needs:   int(Admin), Changes: true, Summary: "Roll a version of a service",
		Speaks: wechat, Body: o.body, Plain: true, Takes: rollBody{}, Gives: wechatReply{}, Handle: o.roll,
		Query: []web.Field{web.Text("access_token", "who asks").Needed()},
	}
}

// wechat is how the documented route is spoken: the status is always 200.
var wechat = &web.Dialect{
	API: string(RolloutAPI), Credential: wechatCredential, Failures: wechatFailures, Say: wechatSay, Terse: true,
	Speech: web.Speech{Name: "wechat", Words: rolloutWords, Security: map[string]any{
		"access_token": map[string]any{"type": "apiKey", "in": "query", "name": "access_token"},
	}},
}

func wechatCredential(c *web.Call) (web.Credential, error) {
	token := c.Query.Get("access_token")
	if token == "" {
		return web.Credential{}, ErrNoCredential
	}
	return web.Credential{Secret: token}, nil
}

// The codes of the document.
const (
	codeBusy         = -1 // try again later
	codeFailed       = -1000
	codeBadToken     = 40014
	codeInvalid      = 40097
	codeMissing      = 40101
	codeNoToken      = 41001
	codeExpired      = 42001
	codeMethod       = 43002
	codeEmpty        = 44002
	codeFormat       = 47001
	codeNoPrivileges = 85088
)

// wechatTexts are what the document says of the codes; of others it says "system
// error".
var wechatTexts = map[int]string{
	codeBadToken: "invalid access_token", codeInvalid: "invalid args", codeMissing: "missing parameter",
	codeNoToken: "access_token missing", codeExpired: "access_token expired", codeMethod: "require POST method",
	codeEmpty: "empty post data", codeFormat: "data format error", codeNoPrivileges: "no qbase privilege",
}

// wechatCodes are the codes of refusals, by what programs read of them. Any
// other is codeFailed.
var wechatCodes = map[string]int{
	"method-not-allowed": codeMethod,
	"no-credential":      codeNoToken, "bad-credential": codeBadToken, "cross-site": codeBadToken, "expired-credential": codeExpired,
	"empty-body": codeEmpty, "invalid-body": codeFormat, "unsupported-media-type": codeFormat,
	"missing-field": codeMissing,
	"invalid-query": codeInvalid, "query-too-long": codeInvalid, "invalid-id": codeInvalid, "body-too-large": codeInvalid,
	"not-found": codeInvalid, "invalid-request": codeInvalid,
	"forbidden":   codeNoPrivileges,
	"in-progress": codeBusy, "busy": codeBusy, "unwritable": codeBusy, "unavailable": codeBusy,
	"too-many-failed-logins": codeBusy, "too-many-replies": codeBusy,
}

// wechatFailures have the statuses that there would be if any were sent.
var wechatFailures = []web.Failure{
	{Err: ErrNoCredential, Status: http.StatusUnauthorized, Slug: "no-credential"},
	{Err: ErrBadCredential, Status: http.StatusUnauthorized, Slug: "bad-credential"},
	{Err: ErrExpired, Status: http.StatusUnauthorized, Slug: "expired-credential"},
	{Err: ErrForbidden, Status: http.StatusForbidden, Slug: "forbidden"},
	{Err: rollout.ErrMissing, Status: http.StatusBadRequest, Slug: "missing-field"},
	{Err: rollout.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request"},
	{Err: rollout.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found"},
	{Err: errors.ErrUnsupported, Status: http.StatusUnprocessableEntity, Slug: "invalid-request"},
	{Err: rollout.ErrBusy, Status: http.StatusConflict, Slug: "in-progress"},
	{Err: rollout.ErrStale, Status: http.StatusConflict, Slug: "in-progress"},
	{Err: lease.ErrLost, Status: http.StatusConflict, Slug: "in-progress"},
	{Err: rollout.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable"},
}

func wechatSay(r *web.Refusal, err error) web.Answer {
	answer := web.Answer{Status: http.StatusOK}
	if errors.Is(err, web.UnknownPath) {
		answer.Status = r.Status
	}
	code := cmp.Or(wechatCodes[r.Slug], codeFailed)
	answer.Body = wechatFail{code, cmp.Or(wechatTexts[code], "system error")}
	return answer
}

// emptyBody is what the document has a code for.
var emptyBody = &web.Refusal{Status: http.StatusBadRequest, Slug: "empty-body", Text: "There is no body"}

// roll begins what the document calls a rolling update.
func (o *rolloutRoutes) roll(c *web.Call) error {
	if empty, err := c.Empty(); empty || err != nil {
		return cmp.Or(err, error(emptyBody))
	}
	asked, err := o.read(c)
	if err != nil {
		return err
	}
	run, err := o.start(context.WithoutCancel(c.Context()), asked)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, wechatReply{ErrMsg: "ok", Result: "succ", RunID: run.ID})
}

// start begins a run, or takes the last one back.
func (o *rolloutRoutes) start(ctx context.Context, asked asked) (rollout.Run, error) {
	if asked.undoes != "" {
		return o.controller.Rollback(ctx, asked.undoes, asked.By)
	}
	return o.controller.Start(ctx, asked.Request)
}

// asked is what a body comes to: a request, or the run to take back.
type asked struct {
	rollout.Request
	undoes string
}

// read makes a request of a body, and refuses who may not act in its
// environment once the arguments are known to be good.
func (o *rolloutRoutes) read(c *web.Call) (r asked, err error) {
	var b rollBody
	if err := c.Decode(&b); err != nil {
		return r, err
	}
	read, err := b.read()
	if err != nil {
		return r, err
	}
	if err := o.enter(c, b.EnvID); err != nil {
		return r, err
	}
	why, err := c.Because("version_remark", "", "")
	if err != nil {
		return r, err
	}
	r.Request = rollout.Request{
		Service: rollout.ServiceID{Env: b.EnvID, Name: b.ServerName}, Replace: b.VersionName,
		Share: read.share, Remark: b.VersionRemark, Snapshot: b.SnapshotName, Restart: true, By: rollout.By(why),
	}
	st, err := o.controller.Status(c.Context(), r.Service)
	if err != nil {
		return r, err
	}
	base, err := replaced(st.Service, b.VersionName)
	if err != nil {
		return r, err
	}
	if r.Spec, err = read.over(base); err != nil {
		return r, err
	}
	if b.Rollback && b.SnapshotName == "" {
		err = o.before(c.Context(), &r)
	}
	return r, err
}

// replaced is the content of the version that a body names.
func replaced(s rollout.Service, version string) (rollout.Spec, error) {
	for _, r := range slices.Backward(s.Revisions) {
		if !r.Replaced && (version == latestVersion || r.ID.Version == version) {
			return r.Spec, nil
		}
	}
	return rollout.Spec{}, fmt.Errorf("%w: version %q of service %q", rollout.ErrNotFound, version, s.ID)
}

// latestVersion is how the document calls the newest one.
const latestVersion = "latest"

// before finds the snapshot before the content that a version has. If that came
// with the last run of the service, and nothing else is to change, the run is
// taken back.
func (o *rolloutRoutes) before(ctx context.Context, r *asked) error {
	isLast := true
	for run, err := range o.controller.History(ctx, rollout.Query{Service: r.Service, State: rollout.StateSucceeded}) {
		switch {
		case err != nil:
			return err
		case r.Replace != latestVersion && run.Revision.Version != r.Replace:
			isLast = false
			continue
		case run.From.Run == "":
			return fmt.Errorf("%w: version %q has no snapshot before", rollout.ErrInvalid, r.Replace)
		}
		r.Snapshot = run.From.Run
		if isLast && r.Share == nil && r.Remark == "" && reflect.DeepEqual(r.Spec, rollout.Spec{}) {
			r.undoes = run.ID
		}
		return nil
	}
	return fmt.Errorf("%w: no snapshot of version %q", rollout.ErrNotFound, r.Replace)
}
