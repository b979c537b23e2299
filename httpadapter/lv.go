package httpadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// LVAPI is the row-version API of Wuji.
const LVAPI API = "lv"

const (
	maxStaff = 128  // bytes of a Staffname
	maxBatch = 1000 // ids of one request
)

// lvRoutes is the row-version API of Wuji, and what is our own about rows.
type lvRoutes struct {
	service *lv.Service
	event   int64    // Limits.Event
	body    int64    // bytes of one at most
	known   sync.Map // lv.TableID: tables that are there
}

// lvAPI is what is served of Config.LV.
func lvAPI(c Config) (api web.API, err error) {
	for _, id := range c.Tables {
		if c.LV == nil || checkApp(id.App) != nil || web.CheckID(id.Schema) != nil {
			return api, fmt.Errorf("table %q of %q: no name of a table, or no LV", id.Schema, id.App)
		}
	}
	if c.LV == nil {
		return api, nil
	}
	l := &lvRoutes{service: c.LV, event: c.Limits.Event, body: cmp.Or(c.Limits.Body, 1<<20)}
	for _, id := range c.Tables {
		l.known.Store(id, true)
	}
	api.Routes = append(l.documentedRoutes(), l.ownRoutes()...)
	api.Trees = map[string]*web.Dialect{"/lv": wuji, "/api/lv": wuji}
	api.About = "The row-version API of Wuji, and what is Upkeep's own about rows"
	return api, nil
}

// wujiRoute is a row of the document.
type wujiRoute struct {
	name    string
	methods string // GET, POST
	path    string // below /lv and /api/lv
	summary string
	changes bool
	reads   string // the methods whose body is read
	takes   any
	gives   any
	handle  func(*web.Call) error
	query   []web.Field // beside wujiQuery
	done    []int
}

// documentedRoutes are the routes of the document. Where its headings and its
// examples differ in the method, both are served; the GETs that change
// something are served as POST too, with a body.
func (l *lvRoutes) documentedRoutes() []web.Route {
	const get, post, both = "GET", "POST", "GET POST"
	see, change := false, true
	table := []wujiRoute{
		{"ListWorkingRows", get, "/status/{status}", "List working rows by publish status: 0 all, 1 as production, 2 not", see, "", nil, []statusReply{}, l.status, ofPage, nil},
		{"ListVersions", get, "/list/{objectId}", "List the versions of a row, newest first", see, "", nil, []versionReply{}, l.list, ofPage, nil},
		{"ListDeletions", get, "/record", "List the deletions of rows that are still shown somewhere", see, "", nil, []recordReply{}, l.record, ofPage, nil},
		{"RestoreVersion", both, "/rollback/{versionId}", "Write a version to the working row", change, post, descBody{}, movedReply{}, l.rollback, nil, nil},
		{"CheckRows", both, "/check", "Tell the publish status of rows", see, both, checkBody{}, []checkReply{}, l.check, nil, nil},
		{"ListRows", both, "/prod", "List the rows of production", see, both, queryBody{}, []shownRowReply{}, l.prod, ofReader, kept},
		{"PublishNothing", both, "/publish", "Publish nothing: a row must be named", change, "", nil, movedReply{}, l.publishNothing, nil, nil},
		{"PublishRow", both, "/publish/{objectId}", "Publish a row", change, both, descBody{}, movedReply{}, l.publish, nil, nil},
		{"PublishDeletion", post, "/record/publish", "Publish a deletion", change, post, deletionBody{}, movedReply{}, l.publishDeletion, nil, nil},
		{"ListGrayRows", both, "/gray/{grayId}", "List the rows of a gray environment", see, both, queryBody{}, []shownRowReply{}, l.gray, ofReader, kept},
		{"PublishRowToGray", post, "/publish2gray/{grayId}/{objectId}", "Publish a row to a gray environment", change, post, descBody{}, movedReply{}, l.publish, nil, nil},
		{"ReleaseVersion", both, "/release/{versionId}", "Release a version to production", change, post, descBody{}, movedReply{}, l.release, nil, nil},
		{"ReleaseVersionToGray", both, "/release/{versionId}/{grayId}", "Release a version to a gray environment", change, post, descBody{}, movedReply{}, l.release, nil, nil},
		{"RollbackGray", both, "/rollback2gray/{versionId}/{grayId}", "Take a gray environment back to a version", change, post, descBody{}, movedReply{}, l.release, nil, nil},
		{"ResetGrayRows", both, "/rollback2gray/batch/{grayId}", "Make rows of a gray environment follow production again", change, both, batchBody{}, movedReply{}, l.reset, nil, nil},
		{"ListStrategies", get, "/strategy", "List strategies", see, "", nil, []strategyReply{}, l.strategies, nil, nil},
		{"CreateStrategy", post, "/strategy", "Create a strategy", change, post, strategyBody{}, strategyReply{}, l.createStrategy, nil, nil},
		{"PatchStrategy", post, "/strategy/patch/{strategyId}", "Change members of a strategy", change, post, web.Partly{Of: strategyBody{}}, strategyReply{}, l.patchStrategy, nil, nil},
		{"DeleteStrategy", post, "/strategy/delete/{strategyId}", "Delete a strategy", change, "", nil, strategyReply{}, l.deleteStrategy, nil, nil},
	}
	var routes []web.Route
	for _, r := range table {
		routes = slices.Concat(routes, l.documented("/lv", "lv", r), l.documented("/api/lv", "apiLv", r))
	}
	return routes
}

// documented returns the routes of a row: one for the methods that read a
// body, and one for those that do not.
func (l *lvRoutes) documented(prefix, name string, d wujiRoute) (routes []web.Route) {
	needs := Reader
	if d.changes {
		needs = Editor
	}
	for _, reads := range []bool{false, true} {
		r := web.Route{
			Name: name + d.name, API: wuji.API, Pattern: prefix + d.path, Needs: int(needs), Changes: d.changes, Summary: d.summary,
			Speaks: wuji, Query: slices.Concat(wujiQuery, d.query, staffname(d.changes)), Plain: true, Gives: d.gives, Done: d.done, Handle: d.handle,
			Slash: d.path == "/release/{versionId}", // and no grayId
		}
		for _, method := range strings.Fields(d.methods) {
			if slices.Contains(strings.Fields(d.reads), method) == reads {
				r.Methods = append(r.Methods, method)
			}
		}
		if reads {
			r.Body, r.Takes = l.body, d.takes
		}
		if r.Methods != nil {
			routes = append(routes, r)
		}
	}
	return routes
}

// wujiQuery is what every route of the document has in its query.
var wujiQuery = append(ofTable, web.Text("authid", "the id of the key").Needed(), web.Text("authkey", "the key").Needed())

// staffname is a header that changes need, and that others may have.
func staffname(needed bool) []web.Field {
	return []web.Field{{
		In: "header", Name: "Staffname", About: "who does it: at most 128 bytes of UTF-8, without control characters",
		Is: map[string]any{"type": "string", "minLength": 1, "maxLength": maxStaff}, Must: needed,
	}}
}

// ofVisitor has the attributes of a visitor, each under its own name.
var ofVisitor = web.Field{
	Name: "visitor", About: "attributes of a visitor, to whom strategies apply: object.field=value",
	Is: map[string]any{
		"type": "object", "propertyNames": map[string]any{"pattern": "[.]"}, "additionalProperties": map[string]any{"type": "string"},
	},
}

// wuji is how the documented routes are spoken. An empty body is {}, and what
// its Content-Type is does not matter.
var wuji = &web.Dialect{
	API: string(LVAPI), Credential: wujiCredential, Refuse: wujiRefusal, Failures: wujiFailures, Say: wujiSay,
	Speech: web.Speech{
		Name: "wuji", Known: []error{&lv.CorruptError{}}, Envelope: wujiReply{}, Words: lvWords,
		Security: map[string]any{"authid": inQuery("authid"), "authkey": inQuery("authkey")},
	},
}

// inQuery is the security scheme of a part of the key pair.
func inQuery(name string) map[string]any {
	return map[string]any{"type": "apiKey", "in": "query", "name": name}
}

// wujiReply is the envelope. Code is the HTTP status.
type wujiReply struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

// wujiFailReply is the envelope of what was not done.
type wujiFailReply struct {
	Code int       `json:"code"`
	Msg  string    `json:"msg"`
	Data *struct{} `json:"data"` // null
}

// wujiDone answers with data.
func wujiDone(c *web.Call, data any) error {
	return c.Reply(http.StatusOK, wujiReply{Code: http.StatusOK, Data: data})
}

// wujiList answers with a list.
func wujiList[T any](c *web.Call, data iter.Seq2[T, error]) error {
	return web.List(c, `{"code":200,"msg":"","data":[`, data, "]}")
}

// wujiCredential is the key pair in the query, and the operator.
func wujiCredential(c *web.Call) (web.Credential, error) {
	app, schema := c.Query.Get("appid"), c.Query.Get("schemaid")
	if err := errors.Join(checkApp(app), web.CheckID(schema)); err != nil {
		return web.Credential{}, web.BadQuery.With("appid and schemaid are needed")
	}
	staff, err := wujiStaff(c)
	if err != nil {
		return web.Credential{}, err
	}
	credential := web.Credential{Secret: c.Query.Get("authkey"), ID: c.Query.Get("authid"), App: app, Schema: schema, Actor: staff}
	if credential.ID == "" || credential.Secret == "" {
		return web.Credential{}, ErrNoCredential
	}
	return credential, nil
}

// badStaff refuses a change that does not say who makes it.
var badStaff = &web.Refusal{Status: http.StatusBadRequest, Text: "Invalid Staffname"}

// wujiStaff returns the operator, who is recorded with every change. It is UTF-8,
// though headers rarely are.
func wujiStaff(c *web.Call) (string, error) {
	values := c.Request.Header.Values("Staffname")
	switch {
	case len(values) == 0 && !c.Route.Changes:
		return "", nil
	case len(values) != 1 || values[0] == "":
		return "", badStaff.With("one is needed")
	}
	staff := values[0]
	if len(staff) > maxStaff || !utf8.ValidString(staff) || strings.ContainsFunc(staff, misleads) {
		return "", badStaff.With(fmt.Sprintf("want at most %d bytes of UTF-8 without control characters", maxStaff))
	}
	return staff, nil
}

// misleads reports whether a character can make a history or a log show
// something else than it says: lines that nobody wrote, or text backwards.
func misleads(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// checkApp refuses what is no app of a table. Without a slash in it,
// appid/schemaid means one table.
func checkApp(app string) error {
	if strings.Contains(app, "/") {
		return web.BadID
	}
	return web.CheckID(app)
}

// wujiFailures gives each error its status, and a message unless its own text
// is about the request.
var wujiFailures = []web.Failure{
	{Err: ErrNoCredential, Status: http.StatusUnauthorized, Text: "authid and authkey are needed"},
	{Err: ErrBadCredential, Status: http.StatusUnauthorized, Text: "authid or authkey is wrong"},
	{Err: ErrExpired, Status: http.StatusUnauthorized, Text: "authkey has expired"},
	{Err: errOutOfScope, Status: http.StatusUnauthorized, Text: "authkey is not of this app or table"},
	{Err: ErrForbidden, Status: http.StatusForbidden, Text: "authkey does not allow this"},
	{Err: lv.ErrInvalid, Status: http.StatusBadRequest, Tell: true},
	{Err: lv.ErrNotFound, Status: http.StatusNotFound, Tell: true},
	{Err: lv.ErrForbidden, Status: http.StatusForbidden, Tell: true},
	{Err: lv.ErrConflict, Status: http.StatusConflict, Tell: true},
	{Err: lv.ErrStale, Status: http.StatusConflict, Tell: true},
	{Err: lv.ErrTooLate, Status: http.StatusConflict, Tell: true},
	{Err: lv.ErrCompacted, Status: http.StatusGone, Tell: true},
	{Err: lv.ErrReadOnly, Status: http.StatusNotImplemented, Text: "Rows are not written here"},
	{Err: lv.ErrClosed, Status: http.StatusServiceUnavailable, Text: "Service unavailable"},
}

// wujiRefusal names a content that is damaged.
func wujiRefusal(err error) *web.Refusal {
	if damaged, ok := errors.AsType[*lv.CorruptError](err); ok {
		return &web.Refusal{Status: http.StatusInternalServerError, Detail: damaged.Error()}
	}
	return nil
}

func wujiSay(r *web.Refusal, _ error) web.Answer {
	return web.Answer{Status: r.Status, Body: wujiFailReply{Code: r.Status, Msg: r.Message()}}
}

// table returns the table that the query names, if it is there. What is not
// there is not asked of the Service, which would keep it.
func (l *lvRoutes) table(c *web.Call) (*lv.Table, error) {
	id := lv.TableID{App: c.Query.Get("appid"), Schema: c.Query.Get("schemaid")}
	if err := errors.Join(checkApp(id.App), web.CheckID(id.Schema)); err != nil {
		return nil, web.BadQuery.With("appid and schemaid are needed")
	}
	there, err := l.isThere(c.Context(), id)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("%w: table %q of %q", lv.ErrNotFound, id.Schema, id.App)
	}
	return l.service.Table(id.App, id.Schema), nil
}

func (l *lvRoutes) isThere(ctx context.Context, id lv.TableID) (bool, error) {
	if _, known := l.known.Load(id); known {
		return true, nil
	}
	for _, err := range l.service.Tables(ctx, id) {
		if err != nil {
			return false, err
		}
		l.known.Store(id, true)
		return true, nil
	}
	return false, nil
}

// versionOf returns the version that text names, or lv.ErrNotFound: ids are
// for nobody to guess at, so that what is none is not known.
func versionOf(text string) (lv.VersionID, error) {
	id, err := decimalOf("version", text)
	return lv.VersionID(id), err
}

func decimalOf(what, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 || text != strconv.FormatInt(id, 10) {
		return 0, fmt.Errorf("%w: %s %.64q", lv.ErrNotFound, what, text)
	}
	return id, nil
}

// decimal writes an id, which may be more than a number of JavaScript can hold.
func decimal[T ~int64](id T) string { return strconv.FormatInt(int64(id), 10) }
