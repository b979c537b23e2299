package httpadapter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

// saveMany saves rows in parts, and returns their ids.
func saveMany(t *testing.T, table *lv.Table, rows int, content string) (ids []string) {
	var edits []lv.Edit
	for n := range rows {
		ids = append(ids, fmt.Sprintf("many%06d", n))
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: ids[n], Content: json.RawMessage(content)})
		if len(edits) == 500 || n == rows-1 {
			_, err := table.Edit(t.Context(), lv.By{Actor: "x"}, edits...)
			require.NoError(t, err)
			edits = nil
		}
	}
	return ids
}

// publishMany saves rows and publishes them by one release.
func publishMany(t *testing.T, table *lv.Table, rows int, content string) {
	ids := saveMany(t, table, rows, content)
	_, err := table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, ids...)
	require.NoError(t, err)
}

func TestAnEventThatIsTooLongIsToldAsCompacted(t *testing.T) {
	s := &site{configure: func(c *httpadapter.Config) { c.Limits.Event = 10_000 }}
	inBubble(t, s, func(t *testing.T, s *site, client *http.Client) {
		table := s.rows.Table("app", "table")
		before, err := table.Seq(t.Context())
		require.NoError(t, err)
		publishMany(t, table, 50, `"`+strings.Repeat("x", 300)+`"`)
		_, err = table.Save(t.Context(), "a", []byte(`"after"`), lv.By{Actor: "x"})
		require.NoError(t, err)

		all := listen(t, client, fmt.Sprintf("%s?%s&after=%d", changes, ofApp, before))
		saved := before + 1
		for i, name := range []string{"compacted", "compacted", "saved"} {
			e, err := all.next()
			require.NoError(t, err)
			require.Equal(t, name, e.name)
			require.Equal(t, fmt.Sprint(int(saved)+i), e.id, "a reader resumes after it")
			if name == "compacted" {
				require.EqualValues(t, int(saved)+i-1, e.data["after"])
			}
		}
		resumed := listen(t, client, changes+"?"+ofApp, header("Last-Event-ID", fmt.Sprint(saved+1)))
		e, err := resumed.next()
		require.NoError(t, err)
		require.Equal(t, "saved", e.name)
	})
}

func TestManySmallRowsAreALongEventToo(t *testing.T) {
	s := &site{configure: func(c *httpadapter.Config) { c.Limits.Event = 10_000 }}
	inBubble(t, s, func(t *testing.T, s *site, client *http.Client) {
		table := s.rows.Table("app", "table")
		before, err := table.Seq(t.Context())
		require.NoError(t, err)
		publishMany(t, table, 200, `1`)
		e, err := listen(t, client, fmt.Sprintf("%s?%s&after=%d", changes, ofApp, before)).next()
		require.NoError(t, err)
		require.Equal(t, "compacted", e.name)
	})
}

// follow runs a replica of a site's table over HTTP.
func follow(t *testing.T, s *site) *replica.Replica {
	server := httptest.NewServer(s.adapter)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	r, err := replica.New(replica.Config{
		Logger: quiet, URL: server.URL + "/upkeep/v1/lv", Table: lv.TableID{App: "app", Schema: "table"},
		File:      filepath.Join(t.TempDir(), "state"),
		Authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) },
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended }) // it writes to its folder until then
	require.Eventually(t, func() bool { return r.Status().Connected }, time.Minute, time.Millisecond)
	return r
}

func TestAReplicaGoesThroughAReleaseOfAnyLength(t *testing.T) {
	t.Parallel()
	rows, content, limit := 300, `"`+strings.Repeat("x", 1000)+`"`, int64(100_000)
	if many := historytest.Unraced(28_000); many > rows && os.Getenv("UPKEEP_FULL") == "1" { // more than a replica reads as one event
		rows, content, limit = many, `"`+strings.Repeat("x", 10_000)+`"`, 0
	}
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Event = limit }}).open(t)
	table := s.rows.Table("app", "table")
	ids := saveMany(t, table, rows, content) // before anybody follows: it is the release that matters
	r := follow(t, s)
	_, err := table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, ids...)
	require.NoError(t, err)
	_, err = table.Save(t.Context(), "a", []byte(`"after"`), lv.By{Actor: "x"})
	require.NoError(t, err)
	_, err = table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, "a")
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		row, err := r.Table().Get(t.Context(), "a", lv.View{})
		require.NoError(c, err)
		require.Equal(c, `"after"`, string(row.Content))
		row, err = r.Table().Get(t.Context(), fmt.Sprintf("many%06d", rows-1), lv.View{})
		require.NoError(c, err)
		require.Equal(c, content, string(row.Content))
	}, 5*time.Minute, 10*time.Millisecond) // in full, on a busy machine
}
