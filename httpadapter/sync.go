package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// SyncAPI is the cloud sync API of SiYuan.
const SyncAPI API = "sync"

// syncRoutes is the documented cloud sync with its siblings, and what is our own
// about a folder.
type syncRoutes struct {
	syncer  cloudsync.Syncer
	folder  *cloudsync.Folder // nil: only what a Syncer does is served
	remotes cloudsync.Remotes // or nil
	prefix  string            // of paths
	body    int64             // bytes of one at most
	runs    *runRoutes[cloudsync.Run, syncRunReply, cloudsync.Event]
}

// syncAPI is what is served of Config.Sync and Config.Folder.
func syncAPI(c Config) (api web.API, err error) {
	s := &syncRoutes{
		syncer: c.Sync, folder: c.Folder, remotes: c.Remotes, prefix: c.Prefix, body: cmp.Or(c.Limits.Body, 64<<10),
	}
	switch {
	case s.syncer == nil && s.folder == nil && s.remotes != nil:
		return api, errors.New("there are Remotes, and neither Sync nor Folder")
	case s.syncer == nil && s.folder == nil:
		return api, nil
	case s.syncer == nil:
		s.syncer = s.folder
	}
	s.runs = s.runsOf()
	spoken := newSiyuan(c.TokenInQuery)
	api.Routes = append(s.documentedRoutes(spoken), s.ownRoutes()...)
	api.Trees = map[string]*web.Dialect{"/api/sync": spoken.api, "/ws": spoken.socket}
	api.About = "The cloud sync API of SiYuan, and what is Upkeep's own about a folder kept the same on many devices"
	return api, nil
}

// documentedRoutes are that of the document, the two that it names for those who
// want to know how the sync goes on, and siblings that its clients call: their
// names and members are those of the public program, and inferred.
func (s *syncRoutes) documentedRoutes(spoken siyuan) []web.Route {
	t := web.Table{Root: "/api/sync", Speaks: spoken.api, Sees: int(Reader), Changes: int(Admin), Body: s.body}
	look := func(r web.Route) web.Route {
		r.Methods = []string{http.MethodPost}
		return r
	}
	routes := []web.Route{
		t.Post("performSync", "/performSync", "Start one sync, which goes on in the background", performBody{}, siyuanProgress{}, s.perform),
		look(t.See("getSyncInfo", "/getSyncInfo", "Tell how the sync goes (inferred)", siyuanInfo{}, s.info)),
		s.socketRoute(spoken, "followSync", "/ws", web.Text("app", "the client"), web.Text("id", "of its session"), web.Text("type", "of its window")),
		s.socketRoute(spoken, "followSyncProgress", "/ws/sync/progress"),
	}
	if s.folder != nil {
		routes = append(routes,
			t.Post("setSyncEnable", "/setSyncEnable", "Switch syncs on or off (inferred)", enableBody{}, &struct{}{}, s.enable),
			t.Post("setCloudSyncDir", "/setCloudSyncDir", "Sync with another cloud directory from now on (inferred)", dirBody{}, &struct{}{}, s.setDir))
	}
	if s.remotes != nil {
		routes = append(routes,
			look(t.See("listCloudSyncDir", "/listCloudSyncDir", "List cloud directories (inferred)", siyuanDirs{}, s.listDirs)),
			t.Post("createCloudSyncDir", "/createCloudSyncDir", "Make a cloud directory (inferred)", dirBody{}, &struct{}{}, s.createDir),
			t.Post("removeCloudSyncDir", "/removeCloudSyncDir",
				"Delete a cloud directory that is not in use, with everything in it; data is the one in use (inferred)", dirBody{}, "", s.removeDir))
	}
	return routes
}

// siyuan is how the documented routes are spoken.
type siyuan struct {
	api    *web.Dialect // what a handler refuses has the status 200
	socket *web.Dialect // a WebSocket that is refused has the status that says so
}

func newSiyuan(tokenInQuery bool) siyuan {
	dialect := func(name string, say func(*web.Refusal, error) web.Answer) *web.Dialect {
		security := map[string]any{"token": map[string]any{
			"type": "apiKey", "in": "header", "name": "Authorization", "description": `"Token " or "Bearer ", and the token`,
		}}
		return &web.Dialect{
			API: string(SyncAPI), Credential: siyuanCredential(tokenInQuery), Failures: siyuanFailures, Say: say,
			Speech: web.Speech{Name: name, Security: security, Words: syncWords},
		}
	}
	spoken := siyuan{api: dialect("siyuan", siyuanSays), socket: dialect("siyuanSocket", siyuanSocketSay)}
	spoken.api.Envelope = siyuanReply{}
	return spoken
}

const (
	placeHeader = "header: Authorization"
	placeQuery  = "query: token"
)

// siyuanCredential is a token in the header, or in the query where that is
// allowed.
func siyuanCredential(tokenInQuery bool) func(*web.Call) (web.Credential, error) {
	return func(c *web.Call) (web.Credential, error) {
		values := c.Request.Header.Values("Authorization")
		if len(values) == 0 && tokenInQuery && c.Query.Has("token") {
			return web.Credential{Secret: c.Query.Get("token"), Place: placeQuery}, nil
		}
		if len(values) == 0 {
			return web.Credential{}, ErrNoCredential
		}
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || token == "" || !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
			return web.Credential{Place: placeHeader}, ErrBadCredential
		}
		return web.Credential{Secret: token, Place: placeHeader}, nil
	}
}

var siyuanFailures = []web.Failure{
	{Err: ErrNoCredential, Status: http.StatusUnauthorized, Text: "Auth failed [session]"},
	{Err: ErrBadCredential, Status: http.StatusUnauthorized, Text: "Auth failed [" + placeHeader + "]"},
	{Err: ErrExpired, Status: http.StatusUnauthorized, Text: "Auth failed [" + placeHeader + "]"},
	{Err: ErrReadOnly, Status: http.StatusForbidden, Text: "This operation is not supported in read-only mode"},
	{Err: ErrForbidden, Status: http.StatusForbidden},
	{Err: cloudsync.ErrBooting, Status: http.StatusConflict, Text: "Boot sync is in progress, please try again later"},
	{Err: cloudsync.ErrBusy, Status: http.StatusConflict, Text: "Sync is in progress, please try again later"},
	{Err: cloudsync.ErrDisabled, Status: http.StatusForbidden, Text: "Sync is switched off"},
	{Err: cloudsync.ErrNotFound, Status: http.StatusNotFound, Text: "No such cloud directory", Tell: true},
	{Err: cloudsync.ErrExists, Status: http.StatusConflict, Text: "There is a cloud directory of this name", Tell: true},
	{Err: cloudsync.ErrInvalid, Status: http.StatusBadRequest, Text: "Invalid request", Tell: true},
	{Err: cloudsync.ErrStale, Status: http.StatusConflict, Text: "Something else has happened meanwhile", Tell: true},
	{Err: cloudsync.ErrDenied, Status: http.StatusBadGateway, Text: "The cloud denies access"},
	{Err: cloudsync.ErrUnavailable, Status: http.StatusBadGateway, Text: "The cloud does not answer"},
	{Err: errors.ErrUnsupported, Status: http.StatusUnprocessableEntity, Text: "Not supported here", Tell: true},
	{Err: cloudsync.ErrCompacted, Status: http.StatusGone, Text: "The events are no longer kept"},
	{Err: cloudsync.ErrClosed, Status: http.StatusServiceUnavailable, Text: "Service unavailable"},
}

// siyuanStatuses are what does not get as far as a handler of the public program,
// which answers 200.
var siyuanStatuses = []int{
	http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType,
	http.StatusTooManyRequests,
}

// siyuanSays is siyuanSay, but in tests.
var siyuanSays = siyuanSay

func siyuanSay(r *web.Refusal, err error) web.Answer {
	answer := siyuanSocketSay(r, err)
	if answer.Status == http.StatusUnauthorized || errors.Is(err, web.Foreign) || errors.Is(err, web.UnknownPath) {
		return answer
	}
	for _, status := range siyuanStatuses {
		if answer.Status == status {
			return answer
		}
	}
	if answer.Body != nil {
		answer.Status = http.StatusOK
	}
	return answer
}

func siyuanSocketSay(r *web.Refusal, err error) web.Answer {
	answer := web.Answer{Status: r.Status, Body: siyuanFail{Code: codeRefused, Msg: r.Message()}}
	bad, known := errors.AsType[*web.BadCredentialError](err)
	switch {
	case known:
		answer.Body = siyuanStranger{Code: codeRefused, Msg: "Auth failed [" + bad.Place + "]"}
	case r.Status == http.StatusUnauthorized:
		answer.Body = siyuanStranger{Code: codeRefused, Msg: r.Text}
	case errors.Is(err, ErrReadOnly):
		answer.Body = siyuanReadOnly{Code: codeRefused, Msg: r.Text, Data: siyuanPatience{CloseTimeout: 5000}}
	case errors.Is(err, ErrForbidden):
		answer.Body = nil
	}
	return answer
}

// codeRefused is the code of the envelope where something was not done.
const codeRefused = -1

// perform begins the documented sync. A cloudName other than the one in use makes
// a sync with that remote: what this device knows of it counts, which is nothing
// at first, and not what it knows of the one in use.
func (s *syncRoutes) perform(c *web.Call) error {
	var b performBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	request, err := b.request()
	if err != nil {
		return err
	}
	why, err := c.Because("app", b.App, "")
	if err != nil {
		return err
	}
	request.By = cloudsync.By(why)
	request.Remote = b.CloudName
	run, err := s.syncer.Start(context.WithoutCancel(c.Context()), request)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, siyuanReply{Data: siyuanProgress{
		Current: run.Progress.Files, Total: run.Progress.AllFiles, Info: "准备同步中...",
	}})
}

// request reads what is asked for.
func (b performBody) request() (r cloudsync.Request, err error) {
	r.Force = b.Force
	switch {
	case web.CheckID(b.App) != nil:
		return r, web.BadBody.With("app is no id of 1 to 256 bytes")
	case b.PushOnly && b.PushMode == "force-pull":
		return r, web.BadBody.With("pushOnly contradicts pushMode force-pull")
	case b.PushOnly || b.PushMode == "force-push":
		r.Mode = cloudsync.ModeForcePush
	case b.PushMode == "force-pull":
		r.Mode = cloudsync.ModeForcePull
	case b.PushMode != "":
		return r, web.BadBody.With("pushMode is neither empty nor force-push nor force-pull")
	}
	return r, nil
}

// info tells how it goes, in the members of the public program and those of the
// document's progress.
func (s *syncRoutes) info(c *web.Call) error {
	st, err := s.syncer.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, siyuanReply{Data: siyuanInfoOf(c, st)})
}
