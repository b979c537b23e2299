package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// block is the content of a row of the site.
type block struct {
	Kind  string `json:"kind"` // banner, or page: then the row's id is its name
	Title string `json:"title,omitempty"`
	Text  string `json:"text"`
}

type row = lv.TypedRow[block]

// firstRows are the rows of a new site.
var firstRows = []struct {
	id    string
	block block
}{
	{"sale", block{Kind: "banner", Text: "Winter sale: everything for half the price."}},
	{"delivery", block{Kind: "banner", Text: "Delivery is free this week."}},
	{"about", block{Kind: "page", Title: "About", Text: "The banners, and pages such as this one, are rows of a table."}},
	{"contact", block{Kind: "page", Title: "Contact", Text: "Nobody is here. The site is a demonstration."}},
}

func seed(ctx context.Context, t *lv.Table) error {
	var edits []lv.Edit
	for _, r := range firstRows {
		content, err := json.Marshal(r.block)
		if err != nil {
			return err
		}
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: r.id, Content: content})
	}
	return publishNew(ctx, t, edits)
}

// publishNew saves and publishes rows, but for those that have been published
// before: what somebody has made of them since stays as it is.
func publishNew(ctx context.Context, t *lv.Table, edits []lv.Edit) error {
	var ids []string
	for _, e := range edits {
		ids = append(ids, e.Row)
	}
	there := map[string]bool{} // deletions too
	for row, err := range t.Rows(ctx, lv.View{Own: true, Rows: ids}) {
		if err != nil && !row.Corrupt { // what is damaged is there, for somebody to mend
			return err
		}
		there[row.ID] = true
	}
	edits = slices.DeleteFunc(edits, func(e lv.Edit) bool { return there[e.Row] })
	ids = slices.DeleteFunc(ids, func(id string) bool { return there[id] })
	if len(edits) == 0 {
		return nil
	}
	by := lv.By{Actor: "server", Reason: "first rows"}
	if _, err := t.Edit(ctx, by, edits...); err != nil {
		return err
	}
	_, err := t.Publish(ctx, lv.Production, by, ids...)
	return err
}

// itemsSchema is the table that has as many rows as the flag asks for.
const itemsSchema = "items"

// loadItems brings the table of items to n rows at least.
func loadItems(ctx context.Context, t *lv.Table, n int, out io.Writer, log *slog.Logger) {
	if n <= 0 {
		return
	}
	fmt.Fprintf(out, "Loading %d rows into the table %s.\n", n, itemsSchema)
	began := time.Now()
	const batch = 5000
	for i := 0; i < n; i += batch {
		var edits []lv.Edit
		for j := i; j < min(i+batch, n); j++ {
			content := fmt.Appendf(nil, `{"name":"item %d","price":%d.%02d,"tags":["demo","%d"],"text":%q}`,
				j, j%90+10, j%100, j%7, strings.Repeat("All about it. ", 10))
			edits = append(edits, lv.Edit{Op: lv.OpSave, Row: fmt.Sprintf("item-%07d", j), Content: content})
		}
		if err := publishNew(ctx, t, edits); err != nil {
			log.Error("server: the rows are not all loaded", "loaded", i, "err", err)
			return
		}
	}
	fmt.Fprintf(out, "The table %s has its %d rows, after %s.\n", itemsSchema, n, time.Since(began).Round(10*time.Millisecond))
}

// visitorOf says what is known of a visitor: the cookies and, above them, the
// query. A site with more at stake would not believe all of that.
func visitorOf(r *http.Request) lv.Attributes {
	visitor := lv.Attributes{}
	for _, c := range r.Cookies() {
		visitor[c.Name] = c.Value
	}
	for name, values := range r.URL.Query() {
		visitor[name] = values[0]
	}
	return visitor
}

// view is what a visitor sees of the rows, all from one moment.
type view struct{ banners, pages []row }

func (s *site) view(ctx context.Context, visitor lv.Attributes) (v view, err error) {
	for one, err := range s.rows.All(ctx, lv.View{For: visitor}) {
		switch {
		case err != nil && one.ID == "":
			return view{}, err
		case err != nil: // one that cannot be shown does not take the others with it
			s.log.Warn("server: a row cannot be shown", "err", err)
		case one.Value.Kind == "banner":
			v.banners = append(v.banners, one)
		case one.Value.Kind == "page":
			v.pages = append(v.pages, one)
		}
	}
	return v, nil
}

// page returns the row of a page, or nil.
func (v view) page(name string) *block {
	for _, p := range v.pages {
		if p.ID+".html" == name {
			return &p.Value
		}
	}
	return nil
}

// key names a page with what it shows. Versions never change, so that nobody
// has to clear the cache when rows are published: another page is shown.
func (v view) key(name string) string {
	h := sha256.New()
	for _, one := range slices.Concat(v.banners, v.pages) {
		fmt.Fprintln(h, one.Version)
	}
	return fmt.Sprintf("%s-%x", name, h.Sum(nil)[:8])
}
