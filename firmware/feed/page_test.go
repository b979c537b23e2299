package feed_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

const page = "\ufeff\r\n<!DOCTYPE html><title>Welcome</title>Log in, please."

func TestAPageIsNoObject(t *testing.T) {
	f := serve(t, says(200, page, "Content-Type", "text/html; charset=utf-8", "ETag", `"one"`))
	for _, name := range []string{firmware.CatalogName, "abc"} {
		for _, n := range []int64{-1, 4, 4000} {
			_, err := get(t.Context(), f, name, 0, n)
			require.ErrorIs(t, err, firmware.ErrUnavailable)
			require.NotErrorIs(t, err, firmware.ErrCorrupt)
			require.ErrorContains(t, err, "a page of HTML came in its place")
		}
	}
	_, err := get(t.Context(), f, "abc", 4000, 10)
	require.ErrorIs(t, err, firmware.ErrUnavailable, "a page that is shorter than the object")
}

func TestAnObjectMayHaveAnyContentType(t *testing.T) {
	for _, body := range []string{object, "{}", "x<html>"} {
		f := serve(t, says(200, body, "Content-Type", "text/html"))
		got, err := get(t.Context(), f, "abc", 0, -1)
		require.NoError(t, err)
		assert.Equal(t, body, string(got))
	}
	f := serve(t, says(200, page, "Content-Type", "application/octet-stream"))
	got, err := get(t.Context(), f, "abc", 0, -1)
	require.NoError(t, err, "its digest will tell")
	assert.Equal(t, page, string(got))
}

// portal is a network that answers with its page until somebody logs in.
type portal struct {
	dir  string
	open time.Time
}

func (p portal) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if time.Now().Before(p.open) {
		says(200, page, "Content-Type", "text/html")(w, r)
	} else {
		http.ServeFile(w, r, filepath.Join(p.dir, filepath.Base(r.URL.Path)))
	}
	return w.Result(), nil
}

// through makes the device read its feed through a portal.
func (d *device) through(p portal) {
	p.dir = d.Dir
	d.config.Feed = &feed.HTTP{URL: "http://releases.invalid", Client: &http.Client{Transport: p}, AllowHTTP: true}
}

func TestARunWaitsUntilSomebodyHasLoggedInToTheNetwork(t *testing.T) {
	for _, tt := range []struct {
		shut time.Duration
		want error
	}{{6 * time.Hour, firmware.ErrRestarting}, {30 * 24 * time.Hour, firmware.ErrUnavailable}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t)
			d.config.GiveUp = 24 * time.Hour
			fw := d.start()
			_, err := fw.Check(t.Context())
			require.NoError(t, err)
			require.NoError(t, fw.Close())
			d.through(portal{open: time.Now().Add(tt.shut)})
			fw = d.start()
			began := time.Now()
			_, err = fw.Check(t.Context())
			require.ErrorIs(t, err, firmware.ErrUnavailable)
			_, err = fw.Update(t.Context(), firmware.Request{Version: "1.2.0"})
			require.ErrorIs(t, err, tt.want)
			assert.WithinDuration(t, began.Add(min(tt.shut, d.config.GiveUp)), time.Now(), 2*time.Hour)
			if tt.want == firmware.ErrUnavailable {
				assert.ErrorContains(t, err, "a page of HTML came in its place")
			}
			require.NoError(t, fw.Close())
		})
	}
}

func TestAFeedThatIsDamagedFailsARunAtOnceAndSaysWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.through(portal{})
		for _, part := range d.index("1.2.0").Segments[0].Parts {
			d.damage(part.Object)
		}
		fw, began := d.start(), time.Now()
		_, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrFailed)
		assert.ErrorIs(t, err, firmware.ErrCorrupt)
		assert.ErrorContains(t, err, d.object("1.2.0", firmware.WayZstd))
		assert.Less(t, time.Since(began), time.Minute)
		require.NoError(t, fw.Close())
	})
}
