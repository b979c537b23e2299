package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// parts records how much is written at once.
type parts struct {
	*httptest.ResponseRecorder
	longest int
}

func (p *parts) Write(text []byte) (int, error) {
	p.longest = max(p.longest, len(text))
	return p.ResponseRecorder.Write(text)
}

func TestLongListIsNeverInMemoryAsAWhole(t *testing.T) {
	s := new(site).open(t)
	const rows = 2000
	table := s.rows.Table("app", "empty")
	var edits []lv.Edit
	var ids []string
	for i := range rows {
		id := fmt.Sprintf("%04d", i)
		ids = append(ids, id)
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: id, Content: json.RawMessage(`"` + strings.Repeat("x", 200) + `"`)})
	}
	_, err := table.Edit(t.Context(), lv.By{Actor: "x"}, edits...)
	require.NoError(t, err)
	_, err = table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, ids...)
	require.NoError(t, err)

	path := "/lv/prod?appid=app&schemaid=empty&authid=kit&authkey=" + appKey
	w := &parts{ResponseRecorder: httptest.NewRecorder()}
	s.adapter.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Greater(t, w.Body.Len(), rows*200)
	require.Less(t, w.longest, 128<<10)
	var got struct {
		Code int
		Data []struct {
			ID string `json:"_id"`
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, 200, got.Code)
	require.Len(t, got.Data, rows)
	for i, row := range got.Data {
		require.Equal(t, ids[i], row.ID)
	}
}
