package web_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	clear(p[:n])
	return int(n), nil
}

const (
	before = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"image.bin\"\r\n\r\n"
	behind = "\r\n--x--\r\n"
)

// inParts is a body with one file in it.
func inParts(file io.Reader) io.Reader {
	return io.MultiReader(strings.NewReader(before), file, strings.NewReader(behind))
}

// uploads is a route that takes a file in a body of at most this many bytes, and
// writes it to w.
func uploads(most int64, w io.Writer) web.Route {
	return web.Route{Pattern: "/things", Methods: []string{"PUT"}, Body: most, Changes: true, Handle: func(c *web.Call) error {
		file, err := c.Upload()
		if err != nil {
			return err
		}
		if _, err = io.Copy(w, file); err != nil {
			return err
		}
		return c.Reply(http.StatusNoContent, nil)
	}}
}

// put sends a body to the route, and returns the status and the slug of a problem.
func put(t *testing.T, s *web.Server, media string, body io.Reader, announced int64) (int, string) {
	r := httptest.NewRequest("PUT", "/things", body)
	r.Header.Set("Content-Type", media)
	r.ContentLength = announced
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code == http.StatusNoContent {
		return w.Code, ""
	}
	return w.Code, slug(t, w.Body.String())
}

const multipart = "multipart/form-data; boundary=x"

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func TestAnUploadIsBoundedAndNeverInMemory(t *testing.T) {
	const most = 256 << 20
	var took counter
	s := serve(t, web.Config{}, uploads(most, &took))
	file := zeros(most - len(before) - len(behind))
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	status, _ := put(t, s, multipart, inParts(&file), -1)
	runtime.ReadMemStats(&end)
	require.Equal(t, http.StatusNoContent, status)
	require.EqualValues(t, most-len(before)-len(behind), took)
	require.Less(t, end.TotalAlloc-start.TotalAlloc, uint64(4<<20))

	file = most
	status, problem := put(t, s, multipart, inParts(&file), -1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "body-too-large", problem)
	file = 0
	status, _ = put(t, s, multipart, inParts(&file), most+1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status, "as is announced")
}

func TestAnUploadIsOneFile(t *testing.T) {
	const image = "\x00\r\n--x\xff=3D"
	var took bytes.Buffer
	s := serve(t, web.Config{}, uploads(1<<20, &took))
	whole := before + image + behind
	for _, tt := range []struct {
		name, media, body string
		status            int
		slug              string
	}{
		{"a file", multipart, whole, 204, ""},
		{"an empty file", multipart, before + behind, 204, ""},
		{"no media", "", whole, 415, "unsupported-media-type"},
		{"JSON", "application/json", "{}", 415, "unsupported-media-type"},
		{"no boundary", "multipart/form-data", whole, 415, "unsupported-media-type"},
		{"parts of another kind", "multipart/mixed; boundary=x", whole, 415, "unsupported-media-type"},
		{"nothing", multipart, "", 400, "invalid-body"},
		{"no part", multipart, "--x--\r\n", 400, "invalid-body"},
		{"another boundary", "multipart/form-data; boundary=y", whole, 400, "invalid-body"},
		{"another name", multipart, strings.Replace(whole, `"file"`, `"image"`, 1), 400, "invalid-body"},
		{"no name", multipart, strings.Replace(whole, `; name="file"`, "", 1), 400, "invalid-body"},
		{"an encoding", multipart, strings.Replace(whole, "\r\n\r\n", "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1), 400, "invalid-body"},
		{"something before", multipart, "so\r\n" + whole, 204, ""},
		{"no end of the last line", multipart, strings.TrimSuffix(whole, "\r\n"), 204, ""},
		{"blanks behind", multipart, strings.TrimSuffix(whole, "\r\n") + " \t\r\n", 204, ""},
		{"a line behind", multipart, whole + "\r\n", 400, "invalid-body"},
		{"something behind", multipart, whole + "so", 400, "invalid-body"},
		{"the end twice", multipart, whole + behind, 400, "invalid-body"},
		{"much behind", multipart, whole + strings.Repeat("x", 5000) + behind, 400, "invalid-body"},
		{"very much behind", multipart, whole + strings.Repeat("x", 100_000) + behind, 400, "invalid-body"},
		{"much before", multipart, strings.Repeat("x\r\n", 30_000) + whole, 413, "body-too-large"},
		{"a long boundary", multipart + strings.Repeat("x", 70), whole, 415, "unsupported-media-type"},
		{"two files", multipart, before + image + "\r\n" + whole, 400, "invalid-body"},
		{"a header too long", multipart, strings.Replace(whole, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 80_000), 1), 413, "body-too-large"},
		{"cut short in the head", multipart, before[:20], 400, "invalid-body"},
		{"cut short in the file", multipart, before + image, 400, "invalid-body"},
		{"cut short at the end", multipart, before + image + "\r\n--x", 400, "invalid-body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			took.Reset()
			status, problem := put(t, s, tt.media, strings.NewReader(tt.body), -1)
			require.Equal(t, tt.status, status)
			require.Equal(t, tt.slug, problem)
			if tt.name == "a file" {
				require.Equal(t, image, took.String(), "byte by byte")
			}
		})
	}
	head := strings.TrimSuffix(before, "\r\n") + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100)
	status, problem := put(t, serve(t, web.Config{}, uploads(1<<30, &took)), multipart, strings.NewReader(head), -1)
	require.Equal(t, http.StatusRequestEntityTooLarge, status, "its head is bounded, however long the file may be")
	require.Equal(t, "body-too-large", problem)
	status, problem = put(t, s, multipart, io.MultiReader(strings.NewReader(before+"half"), broken{}), -1)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid-body", problem)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }

// deadlines is a reply that remembers until when its body may be read.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}

// slow sends a file at some bytes a second, until the deadline.
type slow struct {
	zeros
	pace int
	w    *deadlines
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.zeros.Read(p)
	time.Sleep(time.Second * time.Duration(n) / time.Duration(s.pace))
	if time.Now().After(s.w.read) {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

func TestAnUploadMayTakeAsLongAsItGoesOn(t *testing.T) {
	for pace, status := range map[int]int{3000: 204, 1000: 400} {
		synctest.Test(t, func(t *testing.T) {
			var took counter
			s := serve(t, web.Config{}, uploads(1<<30, &took))
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequest("PUT", "/things", inParts(&slow{4 << 20, pace, w}))
			r.Header.Set("Content-Type", multipart)
			r.ContentLength = -1
			s.ServeHTTP(w, r)
			require.Equal(t, status, w.Code, w.Body.String())
		})
	}
}
