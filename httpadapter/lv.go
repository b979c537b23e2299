package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	maxDesc  = 4 << 10 // bytes of a description
	maxStaff = 128     // bytes of a Staffname
	maxBatch = 1000    // ids of one request
)

// lvAPI is the row-version API of Wuji, and what is our own about rows.
type lvAPI struct {
	service *lv.Service
	limits  Limits
	known   sync.Map // lv.TableID: tables that are there
}

func newLVAPI(c Config) *lvAPI {
	l := &lvAPI{service: c.LV, limits: c.Limits}
	for _, id := range c.Tables {
		l.known.Store(id, true)
	}
	return l
}

// lvRoute is a row of the document.
type lvRoute struct {
	methods string // GET, POST
	path    string // below /lv and /api/lv
	summary string
	changes bool
	reads   string // the methods whose body is read
	takes   any
	gives   any
	handle  func(*call) error
}

// documentedRoutes are the routes of the document. Where its headings and its
// examples differ in the method, both are served; the GETs that change
// something are served as POST too, with a body.
func (l *lvAPI) documentedRoutes() []route {
	const get, post, both = "GET", "POST", "GET POST"
	see, change := false, true
	table := []lvRoute{
		{get, "/status/{status}", "List working rows by publish status: 0 all, 1 as production, 2 not", see, "", nil, []statusReply{}, l.status},
		{get, "/list/{objectId}", "List the versions of a row, newest first", see, "", nil, []versionReply{}, l.list},
		{get, "/record", "List the deletions that are not published", see, "", nil, []recordReply{}, l.record},
		{both, "/rollback/{versionId}", "Write a version to the working row", change, post, descBody{}, movedReply{}, l.rollback},
		{both, "/check", "Tell the publish status of rows", see, both, checkBody{}, []checkReply{}, l.check},
		{both, "/prod", "List the rows of production", see, both, queryBody{}, []rowMembers{}, l.prod},
		{both, "/publish", "Publish nothing: a row must be named", change, "", nil, movedReply{}, l.publishNothing},
		{both, "/publish/{objectId}", "Publish a row", change, both, descBody{}, movedReply{}, l.publish},
		{post, "/record/publish", "Publish a deletion", change, post, deletionBody{}, movedReply{}, l.publishDeletion},
		{both, "/gray/{grayId}", "List the rows of a gray environment", see, both, queryBody{}, []rowMembers{}, l.gray},
		{post, "/publish2gray/{grayId}/{objectId}", "Publish a row to a gray environment", change, post, descBody{}, movedReply{}, l.publish},
		{both, "/release/{versionId}", "Release a version to production", change, post, descBody{}, movedReply{}, l.release},
		{both, "/release/{versionId}/{grayId}", "Release a version to a gray environment", change, post, descBody{}, movedReply{}, l.release},
		{both, "/rollback2gray/{versionId}/{grayId}", "Take a gray environment back to a version", change, post, descBody{}, movedReply{}, l.release},
		{both, "/rollback2gray/batch/{grayId}", "Make rows of a gray environment follow production again", change, both, batchBody{}, movedReply{}, l.reset},
		{get, "/strategy", "List strategies", see, "", nil, []strategyMembers{}, l.strategies},
		{post, "/strategy", "Create a strategy", change, post, strategyMembers{}, strategyMembers{}, l.createStrategy},
		{post, "/strategy/patch/{strategyId}", "Change members of a strategy", change, post, strategyMembers{}, strategyMembers{}, l.patchStrategy},
		{post, "/strategy/delete/{strategyId}", "Delete a strategy", change, "", nil, strategyMembers{}, l.deleteStrategy},
	}
	var routes []route
	for _, prefix := range []string{"/lv", "/api/lv"} {
		for _, r := range table {
			routes = append(routes, l.documented(prefix, r)...)
		}
	}
	return routes
}

// documented returns the routes of a row: one for the methods that read a
// body, and one for those that do not.
func (l *lvAPI) documented(prefix string, d lvRoute) (routes []route) {
	needs := Reader
	if d.changes {
		needs = Editor
	}
	for _, reads := range []bool{false, true} {
		r := route{
			Route:  Route{API: LVAPI, Pattern: prefix + d.path, Needs: needs, Changes: d.changes, Summary: d.summary},
			speaks: wuji, query: wujiQuery, plain: true, gives: d.gives, handle: d.handle,
		}
		for _, method := range strings.Fields(d.methods) {
			if slices.Contains(strings.Fields(d.reads), method) == reads {
				r.Methods = append(r.Methods, method)
			}
		}
		if reads {
			r.body, r.takes = l.limits.large, d.takes
		}
		if r.Methods != nil {
			routes = append(routes, r)
		}
	}
	return routes
}

// wujiQuery is what every route of the document has in its query.
var wujiQuery = []field{
	{"appid", "the app"}, {"schemaid", "the table"}, {"authid", "the id of the key"}, {"authkey", "the key"},
}

// wuji is how the documented routes are spoken. An empty body is {}, and what
// its Content-Type is does not matter.
var wuji = dialect{api: LVAPI, credential: wujiCredential, failure: wujiFailure, fails: wujiReply{}}

// wujiReply is the envelope. Code is the HTTP status.
type wujiReply struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

// done answers with data.
func (c *call) done(data any) error {
	return c.reply(http.StatusOK, wujiReply{Code: http.StatusOK, Data: data})
}

// wujiCredential is the key pair in the query, and the operator.
func wujiCredential(c *call) (Credential, error) {
	app, schema := c.query.Get("appid"), c.query.Get("schemaid")
	if err := errors.Join(checkApp(app), checkID(schema)); err != nil {
		return Credential{}, badQuery.with("appid and schemaid are needed")
	}
	staff, err := c.staff()
	if err != nil {
		return Credential{}, err
	}
	credential := Credential{Secret: c.query.Get("authkey"), ID: c.query.Get("authid"), App: app, Schema: schema, Actor: staff}
	if credential.ID == "" || credential.Secret == "" {
		return Credential{}, ErrNoCredential
	}
	return credential, nil
}

// badStaff refuses a change that does not say who makes it.
var badStaff = &refusal{status: http.StatusBadRequest, slug: "invalid-staffname", text: "Invalid Staffname"}

// staff returns the operator, who is recorded with every change. It is UTF-8,
// though headers rarely are.
func (c *call) staff() (string, error) {
	values := c.r.Header.Values("Staffname")
	switch {
	case len(values) == 0 && !c.route.Changes:
		return "", nil
	case len(values) != 1 || values[0] == "":
		return "", badStaff.with("one is needed")
	}
	staff := values[0]
	if len(staff) > maxStaff || !utf8.ValidString(staff) || strings.ContainsFunc(staff, misleads) {
		return "", badStaff.with(fmt.Sprintf("want at most %d bytes of UTF-8 without control characters", maxStaff))
	}
	return staff, nil
}

// misleads reports whether a character can make a history or a log show
// something else than it says: lines that nobody wrote, or text backwards.
func misleads(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// checkApp refuses what is no app of a table. Without a slash in it,
// appid/schemaid means one table.
func checkApp(app string) error {
	if strings.Contains(app, "/") {
		return badID
	}
	return checkID(app)
}

// wujiFailures gives each error its status, and its message.
var wujiFailures = []failure{
	{ErrNoCredential, http.StatusUnauthorized, "", "authid and authkey are needed", false},
	{ErrBadCredential, http.StatusUnauthorized, "", "authid or authkey is wrong", false},
	{ErrExpired, http.StatusUnauthorized, "", "authkey has expired", false},
	{errOutOfScope, http.StatusUnauthorized, "", "authkey is not of this app or table", false},
	{ErrForbidden, http.StatusForbidden, "", "authkey does not allow this", false},
	{lv.ErrInvalid, http.StatusBadRequest, "", "", true},
	{lv.ErrNotFound, http.StatusNotFound, "", "", true},
	{lv.ErrForbidden, http.StatusForbidden, "", "", true},
	{lv.ErrConflict, http.StatusConflict, "", "", true},
	{lv.ErrStale, http.StatusConflict, "", "", true},
	{lv.ErrTooLate, http.StatusConflict, "", "", true},
	{lv.ErrCompacted, http.StatusGone, "", "", true},
	{lv.ErrReadOnly, http.StatusNotImplemented, "", "Rows are not written here", false},
	{lv.ErrClosed, http.StatusServiceUnavailable, "", "Service unavailable", false},
}

func wujiFailure(err error) (answer, bool) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		message := refused.text
		if refused.detail != "" {
			message += ": " + refused.detail
		}
		return wujiFail(refused.status, message), true
	}
	if damaged, ok := errors.AsType[*lv.CorruptError](err); ok {
		return wujiFail(http.StatusInternalServerError, damaged.Error()), true
	}
	f, known := find(wujiFailures, err)
	if f.tell {
		f.text = err.Error()
	}
	return wujiFail(f.status, f.text), known
}

func wujiFail(status int, message string) answer {
	return answer{status: status, body: wujiReply{Code: status, Msg: message}}
}

// table returns the table that the query names, if it is there. What is not
// there is not asked of the Service, which would keep it.
func (l *lvAPI) table(c *call) (*lv.Table, error) {
	id := lv.TableID{App: c.query.Get("appid"), Schema: c.query.Get("schemaid")}
	if err := errors.Join(checkApp(id.App), checkID(id.Schema)); err != nil {
		return nil, badQuery.with("appid and schemaid are needed")
	}
	there, err := l.isThere(c.r.Context(), id)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("%w: table %q of %q", lv.ErrNotFound, id.Schema, id.App)
	}
	return l.service.Table(id.App, id.Schema), nil
}

func (l *lvAPI) isThere(ctx context.Context, id lv.TableID) (bool, error) {
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
