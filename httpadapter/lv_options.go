package httpadapter

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// options are what a reader of an environment asks for beside a visitor's
// attributes, as public clients of the original send it.
type options struct {
	page
	where   []term // a row is shown if all of them are so
	include []string
	exclude []string
	sort    string // a member; "" is by id
	desc    bool
}

// term asks for rows in which a member has a value.
type term struct{ member, value string }

// maxTerms bounds what a row is asked for.
const maxTerms = 64

// ofPage says which part of a list is wanted.
var ofPage = []web.Field{
	{
		Name: "size", About: "at most so many; total, the default, is all",
		Is: map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 1}, map[string]any{"const": "total"}}},
	},
	web.Whole("page", "this page of so many; default: 1", 1),
	web.Text("after", "continue after the entry with this id; not with page"),
}

// ofReader is what a reader of an environment may ask for.
var ofReader = slices.Concat([]web.Field{
	web.Text("filter", "only rows with member=value, several with & between; a string is its text, anything else its JSON"),
	web.Text("include", "only these members of a row, with commas between"),
	web.Text("exclude", "all members of a row but these, with commas between"),
	web.Text("sort", "by this member, numbers before strings, rows without it last; default: _id; not with after"),
	web.Word("order", "default: asc", "asc", "desc"),
	ofVisitor,
}, ofPage)

// checkNames refuses a query with a name that the route does not have: who asks
// for less would get more than that.
func checkNames(c *web.Call, query url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		known := slices.ContainsFunc(c.Route.Query, func(f web.Field) bool {
			return f.Name == name && f.In == "" && name != ofVisitor.Name || f.Name == ofVisitor.Name && strings.Contains(name, ".")
		})
		if !known {
			return web.BadQuery.With(fmt.Sprintf("%.64q is not known here", name))
		}
	}
	return nil
}

// optionsOf reads the query of a reader.
func optionsOf(c *web.Call, query url.Values) (o options, err error) {
	if o.page, err = pageOf(c, query); err != nil {
		return o, err
	}
	if o.where, err = termsOf(query.Get("filter")); err != nil {
		return o, err
	}
	o.include, o.exclude = namesOf(query.Get("include")), namesOf(query.Get("exclude"))
	if max(len(o.include), len(o.exclude)) > maxTerms {
		return o, web.BadQuery.With(fmt.Sprintf("include and exclude: at most %d members", maxTerms))
	}
	o.sort = query.Get("sort")
	switch query.Get("order") {
	case "desc":
		o.desc, o.sort = true, cmp.Or(o.sort, "_id")
	case "asc", "":
	default:
		return o, web.BadQuery.With("order must be asc or desc")
	}
	if o.after != "" && o.sort != "" {
		return o, web.BadQuery.With("after goes on by _id: want page, with sort or order")
	}
	return o, nil
}

// termsOf reads a filter.
func termsOf(filter string) (where []term, err error) {
	if filter == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(filter, "&") {
		member, value, found := strings.Cut(part, "=")
		if !found || member == "" || strings.ContainsAny(member[len(member)-1:], "!<>~") {
			return nil, web.BadQuery.With(fmt.Sprintf("filter: want member=value, not %.64q", part))
		}
		where = append(where, term{member, value})
	}
	if len(where) > maxTerms {
		return nil, web.BadQuery.With(fmt.Sprintf("filter: at most %d members", maxTerms))
	}
	return where, nil
}

// namesOf returns the names in a text with commas between.
func namesOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// of yields the rows that are asked for.
func (o options) of(rows iter.Seq2[lv.Row, error]) iter.Seq2[lv.Row, error] {
	if len(o.where) > 0 {
		rows = web.Keep(rows, func(row lv.Row, err error) bool { return err != nil || o.matches(row) })
	}
	if o.sort != "" {
		rows = o.sorted(rows)
	}
	return paged(o.page, rows)
}

func (o options) matches(row lv.Row) bool {
	members := shownMembers(row)
	return !slices.ContainsFunc(o.where, func(t term) bool {
		text, isValue := valueOf(members[t.member])
		return !isValue || text != t.value
	})
}

// sorted has the rows in memory until the last one has come, with what they are
// sorted by, but not their contents, which the table shares.
func (o options) sorted(rows iter.Seq2[lv.Row, error]) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		var all []keyed
		for row, err := range rows {
			if err != nil {
				yield(row, err)
				return
			}
			k := key{number: float64(row.Version)} // which is a text for readers alone
			if o.sort != "_version" {
				k = keyOf(shownMembers(row)[o.sort])
			}
			all = append(all, keyed{k, row})
		}
		slices.SortFunc(all, func(a, b keyed) int {
			order := a.key.compare(b.key)
			if o.desc && a.key.rank != absent && b.key.rank != absent {
				order = -order
			}
			return cmp.Or(order, strings.Compare(a.row.ID, b.row.ID))
		})
		for _, k := range all {
			if !yield(k.row, nil) {
				return
			}
		}
	}
}

// keyed is a row with what it is sorted by.
type keyed struct {
	key key
	row lv.Row
}

// key is the value of a member, or that it is not there.
type key struct {
	rank   int
	number float64
	text   string
}

// The ranks of keys: numbers go before texts.
const (
	isNumber = iota
	isText
	absent
)

func keyOf(value json.RawMessage) key {
	text, isValue := valueOf(value)
	if !isValue {
		return key{rank: absent}
	}
	if number, err := strconv.ParseFloat(text, 64); err == nil && value[0] != '"' {
		return key{number: number}
	}
	return key{rank: isText, text: text}
}

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.rank, other.rank), cmp.Compare(k.number, other.number), strings.Compare(k.text, other.text))
}

// valueOf returns what a value is in a filter: the text of a string, and the JSON
// of a number, true, false and null. Nothing else has one.
func valueOf(value json.RawMessage) (text string, isValue bool) {
	if len(value) == 0 || value[0] == '{' || value[0] == '[' {
		return "", false
	}
	if value[0] == '"' {
		return string(web.Unquote(value)), true
	}
	return string(value), true
}

// shownMembers returns the members of a row as readers see it.
func shownMembers(row lv.Row) map[string]json.RawMessage {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(appendRow(nil, row), &members); err != nil {
		panic(fmt.Errorf("reading a content: %w", err)) // no engine takes one that is not JSON
	}
	return members
}

// appendRow appends a row as readers see it, with the members that are asked for.
func (o options) appendRow(text []byte, row lv.Row) []byte {
	if len(o.include)+len(o.exclude) == 0 {
		return appendRow(text, row)
	}
	members := shownMembers(row)
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool {
		return len(o.include) > 0 && !slices.Contains(o.include, name) || slices.Contains(o.exclude, name)
	})
	return append(text, web.Encode(members)...)
}

// page is a part of a list.
type page struct {
	after string // the id before it
	skip  int64  // so many before it
	size  int64  // at most; 0: all
}

// pageOf reads size, page and after of a query that has nothing unknown in it.
func pageOf(c *web.Call, query url.Values) (p page, err error) {
	if err := checkNames(c, query); err != nil {
		return p, err
	}
	if query.Get("size") != "total" {
		if p.size, err = web.Number(query, "size", 1, 0); err != nil {
			return p, err
		}
	}
	number, err := web.Number(query, "page", 1, 1)
	if err != nil {
		return p, err
	}
	p.after = query.Get("after")
	switch {
	case number > 1 && p.size == 0:
		return p, web.BadQuery.With("a page needs a size")
	case number > 1 && p.after != "":
		return p, web.BadQuery.With("page and after exclude each other")
	case number-1 > math.MaxInt64/max(p.size, 1):
		return p, web.BadQuery.With("page and size are too large")
	}
	p.skip = (number - 1) * p.size
	return p, nil
}

// paged yields the entries of a list that are on the page.
func paged[T any](p page, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		skip, left := p.skip, p.size
		for entry, err := range list {
			if skip > 0 && err == nil {
				skip--
				continue
			}
			if !yield(entry, err) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}
