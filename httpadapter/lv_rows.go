package httpadapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// statusReply is a working row. Content is null if it is damaged.
type statusReply struct {
	ObjectID  string          `json:"objectId"`
	VersionID string          `json:"versionId"`
	Status    lv.Status       `json:"status"`
	Content   json.RawMessage `json:"content"`
	MTime     int64           `json:"mtime"` // Unix ms
}

// versionReply is a version of a row. Content is null if it is a deletion, as Op
// says, or damaged.
type versionReply struct {
	VersionID string          `json:"versionId"`
	Op        lv.Op           `json:"op"`
	Content   json.RawMessage `json:"content"`
	Desc      string          `json:"desc"`
	Actor     string          `json:"actor"`
	Time      int64           `json:"time"` // Unix ms
}

// checkBody names rows.
type checkBody struct {
	IDs []string `json:"ids" openapi:"needed,minItems=1,maxItems=1000"`
}

// checkReply is the status of a row; 0: there is no such working row.
type checkReply struct {
	ID     string    `json:"id"`
	Status lv.Status `json:"status"`
}

// queryBody is the query that does not fit the URL: its names and values.
type queryBody struct {
	Query map[string]json.RawMessage `json:"query"`
}

// shownRowReply is a row as readers see it: the members of its content beside
// these, all of them unless the query says which.
type shownRowReply struct {
	ID      string                     `json:"_id,omitempty"`
	Version string                     `json:"_version,omitempty"`
	CTime   int64                      `json:"_ctime,omitempty"` // Unix ms
	MTime   int64                      `json:"_mtime,omitempty"` // Unix ms
	Content map[string]json.RawMessage `json:"-"`
}

func (l *lvRoutes) status(c *web.Call) error {
	status, known := map[string]lv.Status{"0": lv.StatusAny, "1": lv.StatusPublished, "2": lv.StatusChanged}[c.ID("status")]
	if !known {
		return web.BadID.With("status must be 0, 1 or 2")
	}
	t, page, err := l.page(c)
	if err != nil {
		return err
	}
	rows := t.Rows(c.Context(), lv.View{Working: true, Status: status, After: page.after})
	return wujiList(c, paged(page, web.Map(rows, func(row lv.Row, err error) (statusReply, error) {
		if row.Corrupt {
			err = nil
		}
		return statusReply{row.ID, decimal(row.Version), row.Status, row.Content, row.UpdatedAt.UnixMilli()}, err
	})))
}

// page returns the table, and the part of its list that the query asks for.
func (l *lvRoutes) page(c *web.Call) (t *lv.Table, p page, err error) {
	if t, err = l.table(c); err == nil {
		p, err = pageOf(c, c.Query)
	}
	return t, p, err
}

func (l *lvRoutes) list(c *web.Call) error {
	t, page, err := l.page(c)
	if err != nil {
		return err
	}
	query := lv.Query{Row: c.ID("objectId")}
	if page.after != "" {
		if query.After, err = decimalOf("version", page.after); err != nil {
			return err
		}
	}
	versions := paged(page, web.Map(t.History(c.Context(), query), func(v lv.Version, err error) (versionReply, error) {
		if damaged, ok := errors.AsType[*lv.CorruptError](err); ok && damaged.Version == v.ID {
			err = nil
		}
		return versionReply{decimal(v.ID), v.Op, v.Content, v.By.Reason, v.By.Actor, v.Time.UnixMilli()}, err
	}))
	if page.after == "" && page.skip == 0 {
		versions = web.OrElse(versions, fmt.Errorf("%w: row %q", lv.ErrNotFound, query.Row))
	}
	return wujiList(c, versions)
}

func (l *lvRoutes) record(c *web.Call) error {
	t, page, err := l.page(c)
	if err != nil {
		return err
	}
	return wujiList(c, paged(page, records(c.Context(), t, page.after)))
}

func (l *lvRoutes) check(c *web.Call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b checkBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	if err := checkBatch("ids", b.IDs); err != nil {
		return err
	}
	statuses := map[string]lv.Status{}
	for row, err := range t.Rows(c.Context(), lv.View{Working: true, Rows: b.IDs}) {
		if err != nil && !row.Corrupt {
			return err
		}
		statuses[row.ID] = row.Status
	}
	reply := []checkReply{}
	for _, id := range b.IDs {
		reply = append(reply, checkReply{id, statuses[id]})
	}
	return wujiDone(c, reply)
}

// checkBatch checks a list of ids that is needed.
func checkBatch(name string, ids []string) error {
	if len(ids) == 0 || len(ids) > maxBatch {
		return web.BadBody.With(fmt.Sprintf("%s: want 1 to %d ids", name, maxBatch))
	}
	for _, id := range ids {
		if err := web.CheckID(id); err != nil {
			return err
		}
	}
	return nil
}

func (l *lvRoutes) prod(c *web.Call) error { return l.read(c, lv.Production) }

func (l *lvRoutes) gray(c *web.Call) error { return l.read(c, lv.Env(c.ID("grayId"))) }

// read lists what readers of an environment see, but for damaged rows, which
// are left out: the log and our own routes name them. Strategies apply if the
// query has attributes of a visitor: names with a dot, such as env.content.
func (l *lvRoutes) read(c *web.Call, env lv.Env) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	query, inBody, err := wujiQueryOf(c)
	if err != nil {
		return err
	}
	options, err := optionsOf(c, query)
	if err != nil {
		return err
	}
	if !inBody { // or the tag would be that of other questions too
		if unchanged, err := l.tag(c, t); err != nil || unchanged {
			return err
		}
	}
	if options.sort != "" {
		if err := c.BeLong(); err != nil {
			return err
		}
	}
	view := lv.View{Env: env, For: attributesOf(query), After: options.after}
	var text web.Encoded // of one row after the other
	sound := web.Keep(t.Rows(c.Context(), view), func(row lv.Row, _ error) bool { return !row.Corrupt })
	return wujiList(c, web.Map(options.of(sound), func(row lv.Row, err error) (web.Encoded, error) {
		if err == nil {
			text = options.appendRow(text[:0], row)
		}
		return text, err
	}))
}

// tag sets the ETag of what memory shows of a table, and answers a GET that
// knows it.
func (l *lvRoutes) tag(c *web.Call, t *lv.Table) (unchanged bool, err error) {
	name, err := t.Tag(c.Context()) // before the rows are read: they may be newer than they say
	if err != nil {
		return false, err
	}
	return c.Unchanged(strconv.Quote(name)), nil
}

// wujiQueryOf returns the query of the URL with that of the body, in which no
// name comes again, and whether the body has any.
func wujiQueryOf(c *web.Call) (query url.Values, inBody bool, err error) {
	var members map[string]json.RawMessage
	if err := c.DecodeOptional(&members); err != nil {
		return nil, false, err
	}
	var b queryBody
	for name, value := range members {
		if name != "query" {
			return nil, false, web.BadBody.With(fmt.Sprintf("%.64q is not known here: want query", name))
		}
		if err := json.Unmarshal(value, &b.Query); err != nil {
			return nil, false, web.BadBody.With("query: want an object")
		}
	}
	query = url.Values{}
	maps.Copy(query, c.Query)
	for name, value := range b.Query {
		if query.Has(name) {
			return nil, false, web.BadBody.With(fmt.Sprintf("%.64q is in the URL", name))
		}
		switch value[0] {
		case '"':
			query.Set(name, string(web.Unquote(value)))
		case '{', '[', 'n':
			return nil, false, web.BadBody.With(fmt.Sprintf("query: %.64q: want a string, a number or a boolean", name))
		default:
			query.Set(name, string(value))
		}
	}
	return query, len(b.Query) > 0, nil
}

// attributesOf returns the attributes of a visitor in a query, or nil.
func attributesOf(query url.Values) lv.Attributes {
	var attributes lv.Attributes
	for name, values := range query {
		if strings.Contains(name, ".") {
			if attributes == nil {
				attributes = lv.Attributes{}
			}
			attributes[name] = values[0]
		}
	}
	return attributes
}

// appendRow appends a row as readers see it: the members of its content, and
// ours, which come first and win. A content that is no object is the member
// _content.
func appendRow(text []byte, row lv.Row) []byte {
	text = append(text, `{"_id":`...)
	text = append(text, web.Encode(row.ID)...)
	text = append(text, `,"_version":"`...)
	text = strconv.AppendInt(text, int64(row.Version), 10)
	text = append(text, `","_ctime":`...)
	text = strconv.AppendInt(text, row.CreatedAt.UnixMilli(), 10)
	text = append(text, `,"_mtime":`...)
	text = strconv.AppendInt(text, row.UpdatedAt.UnixMilli(), 10)
	content := bytes.TrimSpace(row.Content)
	if len(content) == 0 || content[0] != '{' {
		return append(append(append(text, `,"_content":`...), content...), '}')
	}
	if bytes.Contains(content, []byte(`"_`)) || bytes.Contains(content, []byte(`"\u005`)) {
		content = withoutOurs(content)
	}
	if rest := bytes.TrimSpace(content[1:]); rest[0] != '}' {
		return append(append(text, ','), rest...)
	}
	return append(text, '}')
}

// withoutOurs returns an object without the members that a row has anyway.
func withoutOurs(content []byte) []byte {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(content, &object); err != nil {
		panic(fmt.Errorf("reading a content: %w", err)) // no engine takes one that is not JSON
	}
	for _, name := range []string{"_id", "_version", "_ctime", "_mtime"} {
		delete(object, name)
	}
	return web.Encode(object)
}
