package httpadapter

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// ownRoutes are those under /upkeep/v1/lv.
func (l *lvRoutes) ownRoutes() []web.Route {
	t := web.Table{Root: "/upkeep/v1/lv", Speaks: ownRows, Sees: int(Reader), Changes: int(Editor), Body: l.body, Query: ofTable}
	test := t.Post("testRules", "/strategies/test", "Tell whether a visitor matches rules", testBody{}, testReply{}, l.testRules)
	test.Needs, test.Changes = t.Sees, false
	changes := t.Follow("followTables", "/changes", "Follow what happens to tables, as Server-Sent Events", wire.Event{}, l.changes)
	after := web.Text("after", "continue after the release with this id")
	return []web.Route{
		t.See("listTables", "/tables", "List the tables", tablesReply{}, l.tables).Asks(ofTables...),
		t.See("listEnvironments", "/environments", "List production and the gray environments", environmentsReply{}, l.environments),
		t.See("listRows", "/rows", "List rows as an environment, a visitor or an editor sees them", rowsReply{}, l.rows,
			web.Text("after", "continue after the row with this id"), ofLimit, web.Text("env", "a gray environment; default: production"),
			web.Truth("working", "the working rows"),
			web.Word("status", "of the working rows: 1 as production, 2 not", lv.StatusPublished, lv.StatusChanged),
			web.Truth("own", "only what env points at itself"), web.Whole("asof", "as after the event with this seq", 1), ofVisitor).With(kept...),
		t.See("getRow", "/rows/{objectId}", "Show a working row", rowReply{}, l.row),
		t.Change("saveRow", http.MethodPut, "/rows/{objectId}", "Write a working row", saveBody{}, savedReply{}, l.save),
		t.Change("deleteRow", http.MethodDelete, "/rows/{objectId}", "Delete a working row", removeBody{}, savedReply{}, l.remove),
		t.See("diffVersions", "/diff", "Compare two versions of a row, field by field", diffReply{}, l.diff,
			web.Text("from", "a version; default: nothing"), web.Text("to", "a version; default: nothing")),
		t.See("listChangelists", "/changelists", "List planned releases, newest first", releasesReply{}, l.changelists, after, ofLimit,
			web.Word("state", "default: draft, approved and scheduled", plannedStates...), web.Text("object_id", "only those of this row")),
		t.Post("planRelease", "/changelists", "Plan a release", planBody{}, releaseReply{}, l.plan).With(http.StatusCreated),
		t.Post("approveRelease", "/changelists/{id}/approve", "Approve a planned release", whyBody{}, releaseReply{}, l.amend((*lv.Table).Approve)),
		t.Post("scheduleRelease", "/changelists/{id}/schedule", "Have an approved release applied when it is due", scheduleBody{}, releaseReply{}, l.schedule),
		t.Post("applyRelease", "/changelists/{id}/apply", "Apply an approved release now", whyBody{}, releaseReply{}, l.amend((*lv.Table).Apply)),
		t.Post("cancelRelease", "/changelists/{id}/cancel", "Give up a planned release", whyBody{}, releaseReply{}, l.cancel),
		t.See("listReleases", "/releases", "List releases, newest first", releasesReply{}, l.releases, after, ofLimit,
			web.Text("object_id", "only those of this row"), web.Word("state", "only those in this state", releaseStates...)),
		t.Post("revertRelease", "/releases/{id}/revert", "Take back an applied release, whole", whyBody{}, releaseReply{}, l.amend((*lv.Table).Revert)),
		test,
		changes.Asks(append(changes.Query[:1:1], ofTables...)...),
		t.SeeByGet("getSnapshot", "/snapshot", "Show all that readers see of a table, as of one event", snapshotReply{}, l.snapshot).With(kept...),
	}
}

// ofTables may be in the query of a route about several tables.
var ofTables = []web.Field{web.Text("appid", "the app"), web.Text("schemaid", "the table")}

// ofTable is in the query of every route about one.
var ofTable = []web.Field{ofTables[0].Needed(), ofTables[1].Needed()}

var ofLimit = web.Whole("limit", "at most so many, and never more than 1000; default 50", 1)

// kept are the statuses of a reply that a client may keep, and ask for anew.
var kept = []int{http.StatusOK, http.StatusNotModified}

// tableCredential is a bearer token, for the table in the query, if one is.
func tableCredential(c *web.Call) (web.Credential, error) {
	credential, err := web.BearerCredential(c)
	credential.App, credential.Schema = c.Query.Get("appid"), c.Query.Get("schemaid")
	if credential.App != "" && checkApp(credential.App) != nil {
		return credential, web.BadQuery.With("appid is no id of an app")
	}
	return credential, err
}

// ownRows is how they are spoken.
var ownRows = ownRowsDialect()

func ownRowsDialect() *web.Dialect {
	d := web.Own(string(LVAPI), damagedRefusal, lvFailures...)
	d.Credential, d.Say = tableCredential, saidOfRows
	d.Known = []error{&lv.ConflictError{}, &lv.CorruptError{}}
	return d
}

var lvFailures = []web.Failure{
	{Err: lv.ErrNotFound, Status: http.StatusNotFound, Slug: "not-found", Text: "No such table, row, version, release or event", Tell: true},
	{Err: lv.ErrInvalid, Status: http.StatusBadRequest, Slug: "invalid-request", Text: "The request can not succeed as it stands", Tell: true},
	{Err: lv.ErrForbidden, Status: http.StatusForbidden, Slug: "forbidden", Text: "This is for somebody else to do", Tell: true},
	{Err: lv.ErrConflict, Status: http.StatusConflict, Slug: "conflict", Text: "Something has moved meanwhile", Tell: true},
	{Err: lv.ErrStale, Status: http.StatusConflict, Slug: "conflict", Text: "Something has moved meanwhile", Tell: true},
	{Err: lv.ErrTooLate, Status: http.StatusConflict, Slug: "too-late", Text: "The release is applied, has failed or was cancelled", Tell: true},
	{Err: lv.ErrCompacted, Status: http.StatusGone, Slug: "compacted", Text: "This part of the past is no longer kept", Tell: true},
	{Err: lv.ErrReadOnly, Status: http.StatusNotImplemented, Slug: "read-only", Text: "Rows are not written here"},
	{Err: lv.ErrClosed, Status: http.StatusServiceUnavailable, Slug: "unavailable", Text: "Service unavailable"},
}

// damagedRefusal names a content that is damaged.
func damagedRefusal(err error) *web.Refusal {
	if damaged, ok := errors.AsType[*lv.CorruptError](err); ok {
		return &web.Refusal{Status: http.StatusInternalServerError, Slug: "corrupt", Text: "A content is damaged", Detail: damaged.Error()}
	}
	return nil
}

// conflictProblem lists what has moved: from is what is there now.
type conflictProblem struct {
	web.Problem
	Conflicts []changeReply `json:"conflicts"`
}

func saidOfRows(r *web.Refusal, err error) web.Answer {
	reply := r.Problem()
	if moved, ok := errors.AsType[*lv.ConflictError](err); ok {
		reply.Body = conflictProblem{reply.Body.(web.Problem), changesOf(moved.Changes)}
	}
	return reply
}

// why reads the body, and returns the table, who changes it, and why.
func (l *lvRoutes) why(c *web.Call, b interface{ said() whyBody }) (*lv.Table, lv.By, error) {
	t, err := l.table(c)
	if err != nil {
		return nil, lv.By{}, err
	}
	if err := c.DecodeOptional(b); err != nil {
		return nil, lv.By{}, err
	}
	said := b.said()
	why, err := c.Because("desc", said.Desc, said.RequestID)
	if err == nil && why.Actor == "" { // as an Authenticator of the program's may have it
		err = fmt.Errorf("%w: the actor is missing", lv.ErrInvalid)
	}
	return t, lv.By(why), err
}

func (l *lvRoutes) tables(c *web.Call) error {
	app, schema := c.Query.Get("appid"), c.Query.Get("schemaid")
	asked := web.Keep(l.service.Tables(c.Context()), func(info lv.TableInfo, err error) bool {
		return err != nil || (app == "" || info.ID.App == app) && (schema == "" || info.ID.Schema == schema)
	})
	return web.List(c, `{"tables":[`, web.Map(asked, func(info lv.TableInfo, err error) (tableReply, error) {
		return tableReply{info.ID.App, info.ID.Schema, info.Seq, environmentsOf(info.Envs), len(info.Strategies)}, err
	}), "]}")
}

func (l *lvRoutes) environments(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	envs, err := t.Envs(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, environmentsReply{environmentsOf(envs)})
}

// environmentsOf returns production and the grays.
func environmentsOf(grays []lv.Env) []lv.Env { return append([]lv.Env{lv.Production}, grays...) }

func (l *lvRoutes) rows(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	view, err := l.view(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit(maxBatch)
	if err != nil {
		return err
	}
	if !view.Working && view.AsOf == 0 {
		if unchanged, err := l.tag(c, t); err != nil || unchanged {
			return err
		}
	}
	return web.Page(c, "rows", limit, web.Map(t.Rows(c.Context(), view), func(row lv.Row, err error) (rowReply, error) {
		if row.Corrupt {
			err = nil
		}
		return rowOf(row), err
	}), func(r rowReply) string { return r.ObjectID })
}

// view returns what the query asks to see.
func (l *lvRoutes) view(c *web.Call) (v lv.View, err error) {
	v = lv.View{Env: lv.Env(c.Query.Get("env")), For: attributesOf(c.Query), After: c.Query.Get("after")}
	if v.Working, err = c.Flag("working"); err != nil {
		return v, err
	}
	if v.Own, err = c.Flag("own"); err != nil {
		return v, err
	}
	if v.AsOf, err = c.Number("asof", 1, 0); err != nil {
		return v, err
	}
	status, err := c.Number("status", 1, 0)
	if err != nil || status > int64(lv.StatusChanged) {
		return v, web.BadQuery.With("status must be 1 or 2")
	}
	v.Status = lv.Status(status)
	if v.Env != lv.Production && v.Working {
		return v, web.BadQuery.With("working rows are in no env")
	}
	if v.Env != lv.Production {
		err = web.CheckID(string(v.Env))
	}
	return v, err
}

func (l *lvRoutes) row(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	row, err := t.Get(c.Context(), c.ID("objectId"), lv.View{Working: true})
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, rowOf(row))
}

func (l *lvRoutes) save(c *web.Call) error {
	var b saveBody
	t, by, err := l.why(c, &b)
	if err != nil {
		return err
	}
	if len(b.Content) == 0 {
		return web.BadBody.With("content is needed")
	}
	return l.edit(c, t, lv.Edit{Op: lv.OpSave, Content: b.Content}, b.Expect, by)
}

func (l *lvRoutes) remove(c *web.Call) error {
	var b removeBody
	t, by, err := l.why(c, &b)
	if err != nil {
		return err
	}
	return l.edit(c, t, lv.Edit{Op: lv.OpDelete}, b.Expect, by)
}

// edit edits the working row in the path, if it is at the version expected.
func (l *lvRoutes) edit(c *web.Call, t *lv.Table, e lv.Edit, expect string, by lv.By) (err error) {
	e.Row = c.ID("objectId")
	if e.Expect, err = expected(expect); err != nil {
		return err
	}
	versions, err := t.Edit(c.Context(), by, e)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, savedOf(versions[0]))
}

func (l *lvRoutes) diff(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var versions [2]lv.Version
	for i, name := range []string{"from", "to"} {
		text := c.Query.Get(name)
		if text == "" {
			continue
		}
		id, err := versionOf(text)
		if err == nil {
			versions[i], err = t.VersionByID(c.Context(), id)
		}
		if err != nil {
			return err
		}
	}
	from, to := versions[0], versions[1]
	if from.ID != 0 && to.ID != 0 && from.Row != to.Row {
		return web.BadQuery.With("from and to are versions of different rows")
	}
	differences, err := lv.Diff(from.Content, to.Content)
	if err != nil {
		return err
	}
	reply := diffReply{ObjectID: from.Row, Differences: []differenceReply{}}
	if from.ID == 0 {
		reply.ObjectID = to.Row
	}
	for _, d := range differences {
		reply.Differences = append(reply.Differences, differenceReply{d.Path, d.From, d.Into})
	}
	return c.Reply(http.StatusOK, reply)
}

// testRules answers as a visitor would be: with the seed of the strategy.
func (l *lvRoutes) testRules(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b testBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	var s lv.Strategy
	if b.StrategyID != "" {
		if s, err = strategy(c.Context(), t, b.StrategyID); err != nil {
			return err
		}
		if s.Corrupt {
			return damagedStrategy
		}
	} else if len(b.Rules) == 0 {
		return web.BadBody.With("rules or a strategy_id are needed")
	}
	if len(b.Rules) > 0 {
		if s.Rules, err = rulesOf(b.Rules); err != nil {
			return err
		}
	}
	if s.ID == 0 && needSeed(s.Rules) {
		return web.BadBody.With("a percentage without a seed depends on the strategy: want a strategy_id")
	}
	return c.Reply(http.StatusOK, testReply{Matches: s.Match(b.Attributes)})
}

// needSeed reports whether rules have a percentage that has no seed.
func needSeed(rules []lv.Rule) bool {
	return slices.ContainsFunc(rules, func(r lv.Rule) bool {
		p, isPercentage := r.Value.(lv.Percentage)
		return isPercentage && p.Seed == "" || needSeed(r.Rules)
	})
}
