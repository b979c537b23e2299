package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
)

// app is an archive of some size.
func app(t testing.TB) []byte {
	return tarred(t, program("bin/app", strings.Repeat("app ", 64<<10)), file("etc/app.conf", "x"))
}

// halfOf sends a half of data, and then nothing until nobody listens.
func halfOf(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// interrupted leaves a half of an archive in a folder.
func interrupted(t *testing.T, dir string, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := shelfIn(t, dir, archive.Config{Client: fetchtest.Serve(t, halfOf(data))}).Get(ctx, archiveOf(data))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Len(t, names(t, dir), 2, "a part, and what it is a part of")
}

func TestAFetchGoesOnWhereItWasInterrupted(t *testing.T) {
	data := app(t)
	ranges := func(etag string, all *[]string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			*all = append(*all, r.Header.Get("Range"))
			fetchtest.Offer(data, etag)(w, r)
		}
	}
	rest := fmt.Sprintf("bytes=%d-", len(data)/2)
	for name, tt := range map[string]struct {
		etag  string
		spoil func(t *testing.T, dir string)
		asked []string
	}{
		"with what is there":         {`"v1"`, nil, []string{rest}},
		"with what a prune has left": {`"v1"`, func(t *testing.T, dir string) { prune(t, dir, true) }, []string{rest}},
		"anew with another server":   {`"v2"`, nil, []string{rest}},
		"anew after a prune":         {`"v1"`, func(t *testing.T, dir string) { prune(t, dir, false) }, []string{""}},
		"anew when the part is damaged": {`"v1"`, func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(matching(t, dir, "*.tar.*"), make([]byte, len(data)/2), 0o600))
		}, []string{rest, ""}},
		"anew when what is kept leads elsewhere": {`"v1"`, func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(matching(t, dir, "*.kept"), []byte(`{"Part":"../elsewhere","ETag":"\"v1\""}`), 0o600))
		}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				above := t.TempDir()
				dir, elsewhere := filepath.Join(above, "shelf"), filepath.Join(above, "elsewhere")
				require.NoError(t, os.Mkdir(dir, 0o700))
				require.NoError(t, os.WriteFile(elsewhere, nil, 0o600))
				interrupted(t, dir, data)
				if tt.spoil != nil {
					tt.spoil(t, dir)
				}
				var asked []string
				s := shelfIn(t, dir, archive.Config{Client: fetchtest.Serve(t, ranges(tt.etag, &asked))})
				got, err := s.Get(t.Context(), archiveOf(data))
				require.NoError(t, err)
				require.Equal(t, tt.asked, asked)
				require.Equal(t, []string{got}, names(t, dir))
				require.Equal(t, "x", read(t, dir, got, "etc/app.conf"))
				require.FileExists(t, elsewhere)
			})
		})
	}
}

func matching(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func prune(t *testing.T, dir string, inUse bool) {
	t.Helper()
	require.NoError(t, shelfIn(t, dir, archive.Config{}).Prune(func([]byte) bool { return inUse }))
}

func TestAServerThatDoesNotDoIsAnError(t *testing.T) {
	data := app(t)
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		message string
		is      error
		left    int
	}{
		"it has no such file": {http.NotFound, "404 Not Found", fs.ErrNotExist, 0},
		"it closes":           {func(http.ResponseWriter, *http.Request) { fetchtest.Cut() }, "given up after 8 attempts", nil, 0},
		"it says nothing":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "silent for 30s", nil, 0},
		"it stops":            {halfOf(data), "silent for 30s", nil, 2},
		"it has other bytes":  {fetchtest.Offer(data[512:], `"v1"`), "wrong SHA-256", rollout.ErrInvalid, 0},
		"it leads to http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://user:password@else.test/?token=secret", http.StatusFound)
		}, "not https", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, dir := shelfOf(t, archive.Config{Client: fetchtest.Serve(t, tt.answer)})
				start := time.Now()
				_, err := s.Get(t.Context(), archiveOf(data))
				require.ErrorContains(t, err, tt.message)
				require.ErrorContains(t, err, "fetching https://dl.test/app.tar: ")
				require.Equal(t, tt.is == rollout.ErrInvalid, errors.Is(err, rollout.ErrInvalid))
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				}
				require.NotContains(t, err.Error(), "secret")
				require.NotContains(t, err.Error(), "password")
				require.Less(t, time.Since(start), 10*time.Minute)
				require.Len(t, names(t, dir), tt.left)
			})
		})
	}
}

func TestARequestThatCannotSucceedIsInvalid(t *testing.T) {
	good := archiveOf(nil).Digest
	for name, a := range map[string]rollout.Archive{
		"no digest": {URL: place}, "half a digest": {URL: place, Digest: good[:16]},
		"a file": {URL: "file:///etc/passwd", Digest: good}, "no host": {URL: "https:///x", Digest: good},
		"no URL": {URL: "https://user:secret@[", Digest: good},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := shelfOf(t, archive.Config{})
			_, err := s.Get(t.Context(), a)
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.NotContains(t, err.Error(), "secret")
			require.Empty(t, names(t, dir))
		})
	}
}

func TestManyWhoWantTheSameFetchItOnce(t *testing.T) {
	data := app(t)
	var asked atomic.Int32
	client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fetchtest.Offer(data, "")(w, r)
	})
	dir := t.TempDir()
	shelves := []*archive.Shelf{shelfIn(t, dir, archive.Config{Client: client}), shelfIn(t, dir, archive.Config{Client: client})}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			got, err := shelves[i%2].Get(t.Context(), archiveOf(data))
			if err != nil || got == "" {
				t.Error(got, err)
			}
			if err := shelves[i%2].Prune(func([]byte) bool { return true }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, asked.Load())
	require.Len(t, names(t, dir), 1)
}

func TestWhoLeavesLeavesTheWorkToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := app(t)
		ended := 0
		s, dir := shelfOf(t, archive.Config{Client: fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(20 * time.Second):
				fetchtest.Offer(data, "")(w, r)
			case <-r.Context().Done():
				ended++
			}
		})})
		get := func(long time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), long)
			defer cancel()
			_, err := s.Get(ctx, archiveOf(data))
			return err
		}
		require.ErrorIs(t, get(time.Second), context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, 1, ended, "nobody waits any more")
		var wg sync.WaitGroup
		wg.Go(func() { require.ErrorIs(t, get(time.Second), context.DeadlineExceeded) })
		synctest.Wait()
		wg.Go(func() { require.NoError(t, get(time.Minute)) })
		wg.Wait()
		require.Equal(t, 1, ended)
		require.Len(t, names(t, dir), 1)
	})
}

func TestPruneDeletesWhatIsNotInUse(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for i := range 3 {
		data := tarred(t, file("x", fmt.Sprint(i)), folder("locked"), file("locked/y", ""))
		got, err := shelfIn(t, dir, archive.Config{Client: offer(t, data)}).Get(t.Context(), archiveOf(data))
		require.NoError(t, err)
		all = append(all, got)
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, all[0], "locked"), 0o500)) // as caches of Go modules are
	other := strings.Repeat("0", 64)
	for _, name := range []string{
		"mine", other[:63], other + ".tar", other + ".kept.tmp", other + ".tar.ABC", all[1] + ".tar", all[1] + ".kept",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, all[1]+".ABC", "x"), 0o700))
	s := shelfIn(t, dir, archive.Config{})
	require.NoError(t, s.Prune(func(digest []byte) bool { return fmt.Sprintf("%x", digest) == all[1] }))
	require.ElementsMatch(t, []string{"mine", other[:63], all[1]}, names(t, dir))
	require.Equal(t, "1", read(t, dir, all[1], "x"))
}

func TestPruneLeavesAloneWhatGetIsAtWorkOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := app(t)
		s, dir := shelfOf(t, archive.Config{Client: fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:1000])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Second)
			_, _ = w.Write(data[1000:])
		})})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Get(t.Context(), archiveOf(data))
			require.NoError(t, err)
		})
		time.Sleep(time.Second)
		require.Len(t, names(t, dir), 2)
		require.NoError(t, s.Prune(func([]byte) bool { return false }))
		require.Len(t, names(t, dir), 2)
		wg.Wait()
		require.Len(t, names(t, dir), 1)
	})
}

func TestWhatWasFetchedIsCheckedBeforeItIsUnpacked(t *testing.T) {
	data := app(t)
	for name, there := range map[string][]byte{"good": data, "damaged": data[1:]} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s, dir := shelfOf(t, archive.Config{Client: fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				fetchtest.Offer(data, "")(w, r)
			})})
			a := archiveOf(data)
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%x.tar", a.Digest)), there, 0o600))
			_, err := s.Get(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, name == "damaged", asked.Load() == 1)
			require.Len(t, names(t, dir), 1)
		})
	}
}
