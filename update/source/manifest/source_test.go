package manifest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func TestAManifestOffersWhatWasSignedForThisSystem(t *testing.T) {
	second := offer("1.1.0", "")
	second.Time = time.Date(2026, 5, 1, 14, 0, 0, 0, time.FixedZone("", 7200))
	second.Artifacts[0].URL, second.Artifacts[0].Signature = "/files/app", []byte("signature")
	third := offer("1.2.0", "")
	third.Artifacts[0].URL = "https://cdn.example.com/app?version=1.2.0"
	foreign := offer("1.3.0", "")
	foreign.Artifacts[0].Arch = "arm64"
	s := newSite(t, published(t, list(1, offer("1.0.0", ""), second, third, foreign)))

	releases, err := sourcetest.Collect(t.Context(), newSource(s.URL, &shelf{}), "demo/app")
	require.NoError(t, err)
	require.Equal(t, []update.Release{
		{Version: "1.0.0", URL: s.URL + "/app/dist/app-1.0.0", Digest: digest("1.0.0"), Size: 5},
		{
			Version: "1.1.0", Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
			URL: s.URL + "/files/app", Digest: digest("1.1.0"), Signature: []byte("signature"), Size: 5,
		},
		{Version: "1.2.0", URL: "https://cdn.example.com/app?version=1.2.0", Digest: digest("1.2.0"), Size: 5},
	}, releases)
}

func TestAManifestIsForAProductAndAChannel(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	m := newSource(s.URL, &shelf{})
	_, err := sourcetest.Collect(t.Context(), m, "demo/other")
	require.ErrorIs(t, err, manifest.ErrMismatch)
	m.Product = "demo/app"
	_, err = sourcetest.Collect(t.Context(), m, "demo/other")
	require.NoError(t, err)
	m.Channel = "beta"
	_, err = sourcetest.Collect(t.Context(), m, "demo/other")
	require.ErrorIs(t, err, manifest.ErrMismatch)
}

func TestVersionsThatOneMayNotUpdateToAreLeftOut(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.5.0", ""), offer("2.0.0", "1.5.0"), offer("3.0.0", "2.0.0"))))
	broken := errors.New("disk")
	tests := []struct {
		name    string
		current func(context.Context) (string, error)
		want    []string
		err     error
	}{
		{"far below", installed("1.0.0"), []string{"1.5.0"}, nil},
		{"at a minimum", installed("v1.5"), []string{"1.5.0", "2.0.0"}, nil},
		{"a pre-release is below it", installed("2.0.0-rc.1"), []string{"1.5.0", "2.0.0"}, nil},
		{"above", installed("2.1.0"), []string{"1.5.0", "2.0.0", "3.0.0"}, nil},
		{"nothing installed", installed(""), []string{"1.5.0", "2.0.0", "3.0.0"}, nil},
		{"a version that is none", installed("dev"), []string{"1.5.0"}, nil},
		{"nobody knows", nil, nil, update.ErrInvalid},
		{"an error", func(context.Context) (string, error) { return "", broken }, nil, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newSource(s.URL, &shelf{})
			m.Current = tt.current
			releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, sourcetest.Versions(releases))
		})
	}
}

func installed(version string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return version, nil }
}

// program is an Updater of a program whose updates always work.
func program(t *testing.T, m *manifest.Source, version *string) *update.Updater {
	m.Current = func(context.Context) (string, error) { return *version, nil }
	state := memory.New()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{{
		Name: "demo/app", Source: m, Current: m.Current,
		Steps: []update.Step{{Name: "install", Do: func(_ context.Context, task *update.Task) error {
			*version = task.Release.Version
			return nil
		}}},
	}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(u.Close(), state.Close())) })
	return u
}

func TestLatestGoesByTheVersionsBetween(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("3.0.0", "2.0.0"), offer("2.0.0", "1.5.0"), offer("1.5.0", ""))))
	version := "1.0.0"
	u := program(t, newSource(s.URL, &shelf{}), &version)
	for _, want := range []string{"1.5.0", "2.0.0", "3.0.0"} {
		run, err := u.Update(t.Context(), update.Request{Package: "demo/app"})
		require.NoError(t, err)
		require.Equal(t, want, run.Version)
	}
	_, err := u.Update(t.Context(), update.Request{Package: "demo/app"})
	require.ErrorIs(t, err, update.ErrUpToDate)
}

// A newer manifest that offers only older versions moves nobody back.
func TestAWithdrawnVersionStaysWhereItIs(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""), offer("2.0.0", ""))))
	version := "1.0.0"
	u := program(t, newSource(s.URL, &shelf{}), &version)
	_, err := u.Update(t.Context(), update.Request{Package: "demo/app"})
	require.NoError(t, err)
	s.serve(published(t, list(2, offer("1.0.0", ""))))
	_, err = u.Update(t.Context(), update.Request{Package: "demo/app"})
	require.ErrorIs(t, err, update.ErrUpToDate)
	_, err = u.Update(t.Context(), update.Request{Package: "demo/app", Version: "1.0.0"})
	require.ErrorIs(t, err, update.ErrInvalid)
	require.Equal(t, "2.0.0", version)
}

func TestAManifestThatHasNotChangedIsNotSentAgain(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	m := newSource(s.URL, &shelf{})
	for range 3 {
		releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.NoError(t, err)
		require.Equal(t, []string{"1.0.0"}, sourcetest.Versions(releases))
	}
	require.Equal(t, [2]int{1, 2}, [2]int{s.sent, s.same})
	s.serve(published(t, list(2, offer("1.1.0", ""))))
	releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
	require.NoError(t, err)
	require.Equal(t, []string{"1.1.0"}, sourcetest.Versions(releases))
}

func TestAManifestIsReadFromAFile(t *testing.T) {
	dir := filepath.ToSlash(t.TempDir())
	path := dir
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	root := (&url.URL{Scheme: "file", Path: path}).String()
	web := offer("1.1.0", "")
	web.Artifacts[0].URL = "https://example.com/app"
	require.NoError(t, os.Mkdir(filepath.Join(dir, "app"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "manifest.json"), published(t, list(1, offer("1.0.0", ""), web)), 0o600))
	for _, address := range []string{root, strings.Replace(root, "://", "://localhost", 1)} {
		releases, err := sourcetest.Collect(t.Context(), newSource(address, &shelf{}), "demo/app")
		require.NoError(t, err)
		require.Equal(t, []string{root + "/app/dist/app-1.0.0", "https://example.com/app"}, []string{releases[0].URL, releases[1].URL})
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app", "manifest.json"), make([]byte, manifest.MaxSize+1), 0o600))
	_, err := sourcetest.Collect(t.Context(), newSource(root, &shelf{}), "demo/app")
	require.ErrorContains(t, err, "more than")
	require.NoError(t, os.Remove(filepath.Join(dir, "app", "manifest.json")))
	_, err = sourcetest.Collect(t.Context(), newSource(root, &shelf{}), "demo/app")
	require.ErrorIs(t, err, update.ErrNotFound)
}

func TestAManifestThatLacksItsFieldsAsksNobody(t *testing.T) {
	s := newSite(t, nil)
	for what, change := range map[string]func(*manifest.Source){
		"no keys":  func(m *manifest.Source) { m.Keys = nil },
		"no state": func(m *manifest.Source) { m.State = nil },
	} {
		m := newSource(s.URL, &shelf{})
		change(m)
		_, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.ErrorIs(t, err, update.ErrInvalid, what)
	}
	require.Zero(t, s.sent)
}

func TestAManifestStopsWithItsReader(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""), offer("1.1.0", ""))))
	n := 0
	for range newSource(s.URL, &shelf{}).Versions(t.Context(), "demo/app") {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func TestAManifestIsReadByManyAtOnce(t *testing.T) {
	s := newSite(t, published(t, list(1, offer("1.0.0", ""))))
	m := newSource(s.URL, manifest.StateFile(filepath.Join(t.TempDir(), "state")))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if i == 4 {
				s.serve(published(t, list(2, offer("1.0.0", ""))))
			}
			// Who read the first one before another accepted the second is told so.
			if _, err := sourcetest.Collect(t.Context(), m, "demo/app"); err != nil && !errors.Is(err, manifest.ErrReplayed) {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// served answers every request with the text, and says that it is the server's
// time, if it has one.
func served(text *[]byte, date func() time.Time) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("ETag", etag(*text))
		if date != nil {
			w.Header().Set("Date", date().UTC().Format(http.TimeFormat))
		}
		if r.Header.Get("If-None-Match") == etag(*text) {
			w.WriteHeader(http.StatusNotModified)
		} else {
			_, _ = w.Write(*text)
		}
		return w.Result(), nil
	})}
}

func TestAManifestExpiresThoughTheServerSaysThatNothingHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := published(t, list(1, offer("1.0.0", "")))
		m := newSource("https://example.com", &shelf{})
		m.Client = served(&text, time.Now)
		for range 2 {
			_, err := sourcetest.Collect(t.Context(), m, "demo/app")
			require.NoError(t, err)
			time.Sleep(29 * time.Minute)
		}
		time.Sleep(2 * time.Minute)
		releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
		require.ErrorIs(t, err, manifest.ErrExpired)
		require.NotErrorIs(t, err, manifest.ErrClock)
		require.Empty(t, releases)

		next := list(2, offer("1.0.0", ""))
		text = published(t, next)
		_, err = sourcetest.Collect(t.Context(), m, "demo/app")
		require.NoError(t, err, "a new one ends it")
	})
}

func TestAClockThatIsAYearOffIsToldApart(t *testing.T) {
	const year = 365 * 24 * time.Hour
	hence := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	tests := []struct {
		name           string
		made           time.Duration    // when the manifest was made, by this clock
		date           func() time.Time // by the server
		expired, clock bool
		says           string
	}{
		{"this clock is ahead, says the server", -year, hence(-year), true, true,
			"the server's says 2001-01-01T00:00:00Z: manifest: serial 1: expired"},
		{"this clock is ahead, and the server says nothing", -year, nil, true, false, "and it is 2002-01-01T00:00:00Z"},
		{"the manifest is old indeed", -year, time.Now, true, false, "expired"},
		{"this clock is behind", year, hence(year), false, true,
			"it says 2002-01-01T00:00:00Z, and something was signed at 2003-01-01T00:00:00Z"},
		{"this clock is behind, and the server's too", year, time.Now, false, true, "the clock of this machine seems wrong"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)))
				made := list(1, offer("1.0.0", ""))
				made.Issued, made.Expires = made.Issued.Add(tt.made), made.Expires.Add(tt.made)
				text := published(t, made)
				m := newSource("https://example.com", &shelf{})
				m.Client = served(&text, tt.date)
				releases, err := sourcetest.Collect(t.Context(), m, "demo/app")
				require.Empty(t, releases)
				require.Equal(t, tt.expired, errors.Is(err, manifest.ErrExpired), "%v", err)
				require.Equal(t, tt.clock, errors.Is(err, manifest.ErrClock), "%v", err)
				require.ErrorContains(t, err, tt.says)
			})
		})
	}
}
