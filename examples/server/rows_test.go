package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// lv calls a documented route as the document's examples do, and returns what
// is in data.
func (c client) lv(method, path, body string) any {
	c.t.Helper()
	return c.lvOf(c.keys.SchemaID, method, path, body)
}

func (c client) lvOf(schema, method, path, body string) any {
	c.t.Helper()
	path, more, _ := strings.Cut(path, "?")
	query := url.Values{"appid": {c.keys.AppID}, "schemaid": {schema}, "authid": {c.keys.AuthID}, "authkey": {c.keys.AuthKey}}
	req, err := http.NewRequest(method, "http://"+c.keys.Addr+"/lv/"+path+"?"+query.Encode()+"&"+more, strings.NewReader(body))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	req.Header.Set("Staffname", c.keys.StaffName)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	var reply struct {
		Code int
		Msg  string
		Data any
	}
	require.NoError(c.t, json.NewDecoder(resp.Body).Decode(&reply))
	require.Equal(c.t, 200, reply.Code, reply.Msg)
	return reply.Data
}

// edit calls our own route for a working row, and returns its version.
func (c client) edit(method, row string, body any) string {
	c.t.Helper()
	status, saved := c.do(method, "/upkeep/v1/lv/rows/"+row+"?appid="+c.keys.AppID+"&schemaid="+c.keys.SchemaID, body)
	require.Equal(c.t, http.StatusOK, status, saved)
	return saved["version"].(string)
}

func banner(text string) map[string]any {
	return map[string]any{"content": map[string]string{"kind": "banner", "text": text}}
}

// strategy is the document's example, for a version.
func (c client) strategy(version string) string {
	return `{"objects":"[]","priority":"` + version + `",` +
		`"rules":"[{\"type\":\"and\",\"rules\":[{\"object\":\"env\",\"field\":\"content\",\"relation\":\"includes\",\"value\":\"Hello\"}]}]",` +
		`"schemaId":"` + c.keys.SchemaID + `","stage":0,"status":1,"strategyInfo":"{\"type\":\"grayScaleRelease\"}",` +
		`"target":"` + version + `","title":"(auto)","type":"row"}`
}

// field returns a member of the only entry of a list, or of data itself.
func field(t *testing.T, data any, name string) string {
	t.Helper()
	if list, ok := data.([]any); ok {
		require.Len(t, list, 1)
		data = list[0]
	}
	return data.(map[string]any)[name].(string)
}

// requireBanner says what everybody sees of a banner, and who says Hello.
func (c client) requireBanner(text string, everybody, greeting bool) {
	c.t.Helper()
	for path, want := range map[string]bool{"/site/": everybody, "/site/?env.content=Hello": greeting} {
		if want {
			require.Contains(c.t, c.page(path), text, path)
		} else {
			require.NotContains(c.t, c.page(path), text, path)
		}
	}
}

const (
	winter = "Winter sale: everything for half the price."
	spring = "Spring sale: the last pairs."
)

func TestTheREADMEPublishesABanner(t *testing.T) {
	t.Parallel()
	c, _, stop := start(t, options{state: t.TempDir()})
	defer stop()
	require.Len(t, c.lv("GET", "status/0", ""), 4)
	require.Empty(t, c.lv("GET", "status/2", ""), "the first rows are published")
	require.Contains(t, c.page("/site/about.html"), "rows of a table")
	old := c.lv("GET", "list/sale", "").([]any)

	v := c.edit("PUT", "sale", banner(spring))
	require.Equal(t, v, field(t, c.lv("GET", "status/2", ""), "versionId"))
	require.Equal(t, []any{
		map[string]any{"id": "sale", "status": 2.0}, map[string]any{"id": "about", "status": 1.0},
	}, c.lv("GET", "check", `{"ids": ["sale", "about"]}`))
	require.Equal(t, v, field(t, c.lv("POST", "publish2gray/spring/sale", `{"desc": "to look at"}`), "versionId"))
	require.Contains(t, text(t, c.lv("GET", "gray/spring", "")), spring)
	require.Contains(t, text(t, c.lv("GET", "prod", "")), winter)
	c.requireBanner(spring, false, false)

	strategy := field(t, c.lv("POST", "strategy", c.strategy(v)), "strategyId")
	c.requireBanner(spring, false, true)
	c.requireBanner(winter, true, false)
	require.Contains(t, c.pageFor(&http.Cookie{Name: "env.content", Value: "Hello"}), spring)
	c.lv("POST", "strategy/patch/"+strategy, `{"status": 0}`)
	c.requireBanner(spring, false, false)

	require.Equal(t, v, field(t, c.lv("GET", "release/"+v, ""), "versionId"))
	c.requireBanner(spring, true, true)
	require.Empty(t, c.lv("GET", "status/2", ""))
	c.lv("POST", "strategy/delete/"+strategy, "")
	require.Empty(t, c.lv("GET", "strategy", ""))
	require.Equal(t, "", field(t, c.lv("GET", "rollback2gray/batch/spring", `{"objectIds": ["sale"]}`), "versionId"))

	back := field(t, c.lv("GET", "rollback/"+field(t, old, "versionId"), ""), "versionId")
	require.Equal(t, back, field(t, c.lv("GET", "status/2", ""), "versionId"), "the working row only")
	c.requireBanner(spring, true, true)
	require.Equal(t, back, field(t, c.lv("POST", "publish/sale", `{"desc": "winter again"}`), "versionId"))
	c.requireBanner(winter, true, true)
	require.Len(t, c.lv("GET", "list/sale", ""), 3)
}

func TestTheREADMEGraysADeletion(t *testing.T) {
	t.Parallel()
	c, _, stop := start(t, options{state: t.TempDir()})
	defer stop()
	const delivery = "Delivery is free this week."
	old := field(t, c.lv("GET", "list/delivery", ""), "versionId")
	c.edit("DELETE", "delivery", map[string]any{"desc": "enough"})
	deletion := c.lv("GET", "record", "")
	require.Equal(t, "delivery", field(t, deletion, "objectId"))
	action := field(t, deletion, "actionId")
	c.requireBanner(delivery, true, true)

	c.lv("POST", "record/publish", `{"desc": "", "actionId": "`+action+`", "grayId": "quiet"}`)
	require.NotContains(t, text(t, c.lv("GET", "gray/quiet", "")), delivery)
	require.Contains(t, text(t, c.lv("GET", "prod", "")), delivery)
	c.lv("POST", "strategy", c.strategy(action))
	c.requireBanner(delivery, true, false)

	c.lv("POST", "record/publish", `{"desc": "", "actionId": "`+action+`", "grayId": ""}`)
	c.requireBanner(delivery, false, false)
	require.Empty(t, c.lv("GET", "record", ""))

	c.lv("GET", "release/"+old, "")
	c.requireBanner(delivery, true, false)
	require.Contains(t, text(t, c.lv("GET", "record", "")), action, "the working row is still deleted")
}

func TestARowThatIsNoBlockDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	c, _, stop := start(t, options{state: t.TempDir()})
	defer stop()
	c.edit("PUT", "sale", map[string]any{"content": "not an object"})
	c.lv("POST", "publish/sale", "")
	c.requireBanner("Delivery is free", true, true)
	c.requireBanner(winter, false, false)
}

func TestPublishedRowsAreThereAtTheNextStart(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, _, stop := start(t, options{state: state})
	c.edit("PUT", "sale", banner(spring))
	c.lv("POST", "publish/sale", "")
	c.edit("DELETE", "delivery", map[string]any{"desc": "enough"})
	stop()
	c, _, stop = start(t, options{state: state})
	defer stop()
	c.requireBanner(spring, true, true)
	require.Len(t, c.lv("GET", "list/sale", ""), 2, "no first rows again")
	require.Len(t, c.lv("GET", "record", ""), 1)
}

func TestADataSetIsLoadedAtTheStart(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	c, _, stop := start(t, options{state: state, rows: 1})
	stop()
	c, out, stop := start(t, options{state: state, rows: 300})
	last := func() any { return c.lvOf(itemsSchema, "GET", "prod?after=item-0000298", "") }
	require.Eventually(t, func() bool { return text(t, last()) != "[]" }, waitAtMost, pollEvery)
	require.Contains(t, text(t, last()), `"name":"item 299"`)
	require.Len(t, c.lvOf(itemsSchema, "GET", "status/1", ""), 300)
	require.Empty(t, c.lvOf(itemsSchema, "GET", "status/2", ""))
	require.Len(t, c.lv("GET", "status/0", ""), 4, "the site's table is another one")
	stop()
	require.Contains(t, out.String(), "The table items has its 300 rows, after ")
}

func TestALoadedRowIsNotLoadedAgain(t *testing.T) {
	service, err := lv.New(lv.Config{Store: memory.New()})
	require.NoError(t, err)
	defer service.Close()
	table, ctx, by := service.Table("demo", itemsSchema), t.Context(), lv.By{Actor: "ann"}
	load := func(n int) {
		var out bytes.Buffer
		loadItems(ctx, table, n, &out, slog.New(slog.NewTextHandler(&out, nil)))
		require.Contains(t, out.String(), "has its")
		require.NotContains(t, out.String(), "not all loaded")
	}
	load(2)
	_, err = table.Save(ctx, "item-0000000", []byte(`{"name":"mine"}`), by)
	require.NoError(t, err)
	_, err = table.Delete(ctx, "item-0000001", by)
	require.NoError(t, err)
	_, err = table.Publish(ctx, lv.Production, by, "item-0000001")
	require.NoError(t, err)
	load(4)
	var names []string
	for row, err := range table.Rows(ctx, lv.View{Working: true}) {
		require.NoError(t, err)
		var item struct{ Name string }
		require.NoError(t, json.Unmarshal(row.Content, &item))
		names = append(names, item.Name)
	}
	require.Equal(t, []string{"mine", "item 2", "item 3"}, names)

	load(5001) // two batches
	row, err := table.Get(ctx, "item-0005000", lv.View{})
	require.NoError(t, err)
	require.Contains(t, string(row.Content), "item 5000")
}

// pageFor returns the first page for a visitor with a cookie.
func (c client) pageFor(cookie *http.Cookie) string {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+c.keys.Addr+"/site/", nil)
	require.NoError(c.t, err)
	req.AddCookie(cookie)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return string(page)
}

func text(t *testing.T, data any) string {
	t.Helper()
	text, err := json.Marshal(data)
	require.NoError(t, err)
	return string(text)
}
