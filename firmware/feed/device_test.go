package feed_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// device is one that reads a shop's feed.
type device struct {
	*shop
	sim    *slot.Simulator
	config firmware.Config
}

// newDevice runs version 1.1.0 of three.
func newDevice(t *testing.T) *device {
	d := &device{shop: newShop(t)}
	d.three()
	d.sim = slot.NewSimulator("1.1.0", d.images[1])
	d.config = firmware.Config{
		Product: "encoder", Device: "4711", Store: memory.New(), Slots: d.sim, Reboot: d.sim.Reboot,
		Feed: feed.Dir(d.Dir), Verifier: d.verifier,
	}
	return d
}

func (d *device) start() *firmware.Service {
	d.Helper()
	fw, err := firmware.New(d.config)
	require.NoError(d, err)
	return fw
}

// update goes to version 1.2.0, and returns what came by which way.
func (d *device) update() map[firmware.Way]int64 {
	d.Helper()
	fw := d.start()
	run, err := fw.Update(d.Context(), firmware.Request{})
	require.ErrorIs(d, err, firmware.ErrRestarting)
	require.NoError(d, fw.Close())
	d.confirm(run)
	return run.Pulled
}

func (d *device) confirm(run firmware.Run) {
	d.Helper()
	fw := d.start()
	require.NoError(d, fw.Confirm(d.Context(), firmware.By{}))
	run, err := fw.Wait(d.Context(), run.ID)
	require.NoError(d, err)
	assert.Equal(d, "1.2.0", run.Version)
	assert.Equal(d, d.images[2], d.sim.Image())
	require.NoError(d, fw.Close())
}

func (d *device) remove(name string) {
	d.Helper()
	require.NoError(d, os.Remove(filepath.Join(d.Dir, name)))
}

func (d *device) damage(name string) {
	d.Helper()
	require.NoError(d, os.WriteFile(filepath.Join(d.Dir, name), flipped(d.read(name)), 0o600))
}

func TestADeviceUpdatesByAPatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		var size int64
		for _, s := range d.index("1.2.0").Segments {
			size += s.Parts[0].Size
		}
		assert.Equal(t, map[firmware.Way]int64{firmware.WayPatch: size}, d.update())
	})
}

// A server has the whole, the chunks and the patches; any of them may be gone.
func TestADeviceUpdatesByWhatIsThere(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*device)
		want   firmware.Way
		wants  bool
		not    firmware.Way
	}{
		{"the patch is gone", func(d *device) { d.remove(d.patch()) }, firmware.WayChunks, true, firmware.WayPatch},
		{"patch and lists are gone", func(d *device) {
			d.remove(d.patch())
			d.remove(d.object("1.2.0", firmware.WayChunks))
		}, firmware.WayZstd, true, firmware.WayChunks},
		{"the lists are damaged", func(d *device) {
			d.remove(d.patch())
			d.damage(d.object("1.2.0", firmware.WayChunks))
		}, firmware.WayZstd, true, firmware.WayPatch},
		{"only the patch is there", func(d *device) {
			d.remove(d.object("1.2.0", firmware.WayChunks))
			d.remove(d.object("1.2.0", firmware.WayZstd))
		}, firmware.WayPatch, true, firmware.WayZstd},
		{"a byte of the patch is flipped", func(d *device) { d.damage(d.patch()) }, firmware.WayPatch, true, firmware.WayRaw},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				tt.change(d)
				pulled := d.update()
				assert.Positive(t, pulled[tt.want])
				assert.Zero(t, pulled[tt.not])
			})
		})
	}
}

// patch is the object that has the patches from 1.1.0 to 1.2.0.
func (d *device) patch() string { return d.index("1.2.0").Segments[0].Parts[0].Object }

func TestADeviceThatNothingFitsGetsTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.sim = slot.NewSimulator("0.9.0", code(99, 1<<10))
		d.config.Slots, d.config.Reboot = d.sim, d.sim.Reboot
		pulled := d.update()
		assert.Zero(t, pulled[firmware.WayPatch])
		assert.Positive(t, pulled[firmware.WayZstd])
	})
}

func TestARunFailsWhenEveryWayIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		for _, way := range []firmware.Way{firmware.WayPatch, firmware.WayChunks, firmware.WayZstd} {
			d.remove(d.object("1.2.0", way))
		}
		fw := d.start()
		defer fw.Close()
		run, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrNotFound)
		assert.Equal(t, firmware.StateFailed, run.State)
	})
}

func TestADeviceUpdatesOverHTTP(t *testing.T) {
	d := newDevice(t)
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		http.ServeFileFS(w, r, os.DirFS(d.Dir), r.URL.Path)
	}))
	t.Cleanup(server.Close)
	d.config.Feed = &feed.HTTP{URL: server.URL}
	d.update()
	r := d.catalog().Releases[0]
	assert.Equal(t, []string{"/" + firmware.CatalogName, "/" + r.Index.Name, "/" + d.patch()}, asked, "patches come by one request")
}

func TestADeviceTakesABundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		var b bytes.Buffer
		require.NoError(t, d.Bundle(t.Context(), "1.2.0", &b))
		require.ErrorIs(t, d.Bundle(t.Context(), "9", &b), firmware.ErrNotFound)
		d.config.Feed = feed.Dir(t.TempDir()) // there is no network
		whole := bytes.Clone(b.Bytes())
		for _, damaged := range [][]byte{whole[:20], whole[:len(whole)-1], flipped(whole)} {
			fw := d.start()
			_, err := fw.Upload(t.Context(), io.NopCloser(bytes.NewReader(damaged)), firmware.By{})
			require.Error(t, err)
			require.NoError(t, fw.Close())
		}
		fw := d.start()
		run, err := fw.Upload(t.Context(), io.NopCloser(bytes.NewReader(whole)), firmware.By{})
		require.NoError(t, err)
		run, err = fw.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, []firmware.Way{firmware.WayBundle}, waysOf(run.Pulled))
		require.NoError(t, fw.Close())
		d.confirm(run)
	})
}

func waysOf(pulled map[firmware.Way]int64) (all []firmware.Way) {
	for way := range pulled {
		all = append(all, way)
	}
	return all
}

// checks returns the error of a check, which the status has too.
func (d *device) checks(fw *firmware.Service) error {
	d.Helper()
	_, err := fw.Check(d.Context())
	status, bad := fw.Status(d.Context())
	require.NoError(d, bad)
	if err == nil {
		require.NoError(d, status.Check.Err())
	}
	return err
}

func (d *device) put(raw []byte) {
	d.Helper()
	require.NoError(d, os.WriteFile(filepath.Join(d.Dir, firmware.CatalogName), raw, 0o600))
}

func TestADeviceRefusesWhatIsNotToBeTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		old := d.read(firmware.CatalogName)
		fw := d.start()
		require.NoError(t, d.checks(fw))
		require.NoError(t, d.Renew(t.Context()))
		fresh := d.read(firmware.CatalogName)
		require.NoError(t, d.checks(fw))

		d.put(old)
		require.ErrorIs(t, d.checks(fw), firmware.ErrReplayed)
		d.put(flipped(fresh))
		require.Error(t, d.checks(fw))

		d.put(fresh)
		d.rotate(1, key(2))
		rotated := d.read(firmware.CatalogName)
		require.NoError(t, d.checks(fw))
		require.NoError(t, fw.Close())
		fw = d.start() // it remembers
		defer fw.Close()
		d.put(fresh)
		require.ErrorIs(t, d.checks(fw), firmware.ErrSignature)
		d.put(rotated)
		require.NoError(t, d.checks(fw))
		_, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

func TestADeviceRefusesTooFewSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.config.Verifier = feed.Keys{Trusted: public(key(1), key(2)), Threshold: 2}
		fw := d.start()
		defer fw.Close()
		require.ErrorIs(t, d.checks(fw), firmware.ErrSignature)
	})
}

func TestADeviceRefusesACatalogThatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.Dir, d.Time, d.Expires = t.TempDir(), time.Now().Add(-2*time.Hour), time.Hour
		d.add("1.2.0", d.images[2])
		d.config.Feed = feed.Dir(d.Dir)
		fw := d.start()
		defer fw.Close()
		require.ErrorIs(t, d.checks(fw), firmware.ErrExpired)
		d.Expires = 3 * time.Hour
		require.NoError(t, d.Renew(t.Context()))
		require.NoError(t, d.checks(fw))
		var b bytes.Buffer
		d.Expires = time.Hour
		require.NoError(t, d.Bundle(t.Context(), "1.2.0", &b))
		_, err := fw.Upload(context.WithoutCancel(t.Context()), io.NopCloser(&b), firmware.By{})
		require.ErrorIs(t, err, firmware.ErrExpired)
	})
}

func TestADeviceRefusesTheCatalogOfAnotherProduct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.config.Product = "decoder"
		fw := d.start()
		defer fw.Close()
		require.ErrorIs(t, d.checks(fw), firmware.ErrMismatch)
	})
}
