package httpadapter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
)

const changes = "/upkeep/v1/lv/changes"

// newRows returns a Service that is closed with the test, with a table app/table:
// row a is published and changed since, row b is deleted and the deletion is
// not published, row c was never published. The gray g shows a's newest version.
func newRows(t testing.TB, store lv.VersionStore) *lv.Service {
	rows, err := lv.New(lv.Config{VersionStore: store, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rows.Close()) })
	ctx, by, table := context.Background(), lv.By{Actor: "setup", Reason: "begin"}, rows.Table("app", "table")
	save := func(id, content string) {
		_, err := table.Save(ctx, id, json.RawMessage(content), by)
		require.NoError(t, err)
	}
	save("a", `{"name":"a1"}`)
	save("b", `{"name":"b1"}`)
	_, err = table.Publish(ctx, lv.Production, by, "a", "b")
	require.NoError(t, err)
	save("a", `{"name":"a2"}`)
	save("c", `{"name":"c1"}`)
	_, err = table.Publish(ctx, "g", by, "a")
	require.NoError(t, err)
	_, err = table.Delete(ctx, "b", by)
	require.NoError(t, err)
	return rows
}

// published is all that a request could change of the rows.
func (s *site) published(t testing.TB) string {
	ctx, table := context.Background(), s.rows.Table("app", "table")
	var all []any
	for v, err := range table.History(ctx, lv.Query{}) {
		require.NoError(t, err)
		all = append(all, v.ID)
	}
	for r, err := range table.Releases(ctx, lv.Query{}) {
		require.NoError(t, err)
		all = append(all, r.ID, r.Rev)
	}
	for info, err := range s.rows.Tables(ctx) {
		require.NoError(t, err)
		all = append(all, info.ID, info.Seq)
	}
	return fmt.Sprint(all...)
}

// documented sends a request of the document as the operator, with kit's key.
func (s *site) documented(method, path, body string, prepare ...func(*http.Request)) reply {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	path += separator + "appid=app&schemaid=table&authid=kit&authkey=" + appKey
	return s.send(method, path, body, append(prepare, header("Staffname", "操作人"))...)
}

// lines returns the next lines of a stream, each with a bar at its end.
func (l *listener) lines(n int) (all string) {
	for range n {
		line, err := l.text.ReadString('\n')
		require.NoError(l.t, err)
		all += strings.TrimSuffix(line, "\n") + "|"
	}
	return all
}

// data returns the data of a good reply of the document.
func (r reply) data(t testing.TB) any {
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	object := r.json(t)
	require.EqualValues(t, 200, object["code"])
	require.Equal(t, "", object["msg"])
	return object["data"]
}

func TestAServiceThatOnlyReadsRefusesWrites(t *testing.T) {
	s := new(site)
	s.configure = func(c *httpadapter.Config) {
		var err error
		c.LV, err = lv.New(lv.Config{Store: s.db, ReadOnly: true})
		require.NoError(t, err)
	}
	s.open(t)
	r := s.documented("POST", "/lv/publish/a", "{}")
	require.Equal(t, http.StatusNotImplemented, r.StatusCode, r.text)
	require.Equal(t, "Rows are not written here", r.json(t)["msg"])
	r = s.own("PUT", "rows/a", `{"content":{}}`)
	require.Equal(t, http.StatusNotImplemented, r.StatusCode, r.text)
	require.Equal(t, "read-only", r.problem(t))
	require.Equal(t, http.StatusOK, s.documented("GET", "/lv/prod", "").StatusCode)
}
