package web_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// zeros are so many bytes, of which nobody has more than a part in memory.
type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(*z))
	*z -= zeros(n)
	return int(n), nil
}

func TestAnUploadIsBoundedAndNeverInMemory(t *testing.T) {
	const most = 256 << 20
	var took int64
	s := serve(t, web.Config{}, web.Route{
		Pattern: "/things", Methods: []string{"PUT"}, Body: most, Changes: true,
		Handle: func(c *web.Call) (err error) {
			if took, err = io.Copy(io.Discard, c.Upload()); err != nil {
				return err
			}
			return c.Reply(http.StatusNoContent, nil)
		},
	})
	send := func(body io.Reader, announced int64) (int, string) {
		r := httptest.NewRequest("PUT", "/things", body)
		r.Header.Set("Content-Type", "application/octet-stream")
		r.ContentLength = announced
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body := zeros(most)
	status, text := send(&body, -1)
	runtime.ReadMemStats(&after)
	require.Equal(t, http.StatusNoContent, status, text)
	require.EqualValues(t, most, took)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))

	body = most + 1
	status, text = send(&body, -1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "body-too-large", slug(t, text))
	body = 0
	status, _ = send(&body, most+1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status, "as is announced")
	status, text = send(io.MultiReader(strings.NewReader("half"), broken{}), -1)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid-body", slug(t, text))
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }
