package feed_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// TestAFlippedByteInAnyObjectReachesNoSlot damages each object of a feed in turn,
// or puts that of another version into its place. A device finds another way, or
// fails: what it starts is what was signed.
func TestAFlippedByteInAnyObjectReachesNoSlot(t *testing.T) {
	made := newShop(t)
	made.three()
	index := made.catalog().Releases[0].Index.Name
	others := made.catalog().Releases[1].Index.Name
	updated, failed := 0, 0
	for name := range made.files() {
		if len(made.read(name)) == 0 {
			continue // its lock
		}
		for what, damage := range map[string]func(d *device, name string) []byte{
			"a byte":    func(d *device, name string) []byte { return flipped(d.read(name)) },
			"its end":   func(d *device, name string) []byte { raw := d.read(name); return raw[:len(raw)/2] },
			"all of it": func(d *device, _ string) []byte { return d.read(others) },
		} {
			if name == others && what == "all of it" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				d.config.GiveUp = time.Hour
				require.NoError(t, os.WriteFile(filepath.Join(d.Dir, name), damage(d, name), 0o600))
				fw := d.start()
				defer fw.Close()
				run, err := fw.Update(t.Context(), firmware.Request{})
				if run.State == firmware.StateRestarting {
					updated++
					assert.True(t, bytes.Equal(d.images[2], d.sim.Image()), "%s of %s", what, name)
					return
				}
				failed++
				require.Error(t, err)
				assert.Contains(t, []string{firmware.CatalogName, index}, name, "all else can be had in another way: %v", err)
				assert.True(t, bytes.Equal(d.images[1], d.sim.Image()))
				pair, err := d.sim.Pair(t.Context())
				require.NoError(t, err)
				assert.False(t, pair.Other.Whole)
			})
		}
	}
	assert.Equal(t, 6, failed, "the catalog and the index")
	assert.Greater(t, updated, 10)
}

func TestABundleFromBeforeTheLastCheckIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.Expires = 365 * 24 * time.Hour
		var stick bytes.Buffer
		require.NoError(t, d.Bundle(ctx, "1.2.0", &stick))
		head := headOf(bytes.Clone(stick.Bytes()))
		d.Expires = 30 * 24 * time.Hour
		for range 10 { // until the catalog of that day has long expired
			d.Time = d.Time.Add(20 * 24 * time.Hour)
			require.NoError(t, d.Renew(ctx))
		}
		fw := d.start()
		require.NoError(t, d.checks(fw))
		number := d.catalog().Number
		kept := d.read(firmware.CatalogName)

		d.put(head)
		require.ErrorIs(t, d.checks(fw), firmware.ErrSignature, "a bundle is no catalog")
		d.put(kept)
		front := append([]byte(firmware.BundleMagic), byte(len(kept)>>24), byte(len(kept)>>16), byte(len(kept)>>8), byte(len(kept)))
		_, err := fw.Upload(ctx, io.NopCloser(bytes.NewReader(append(front, kept...))), firmware.By{})
		require.ErrorIs(t, err, firmware.ErrSignature, "and a catalog no bundle")

		run, err := fw.Upload(ctx, io.NopCloser(&stick), firmware.By{})
		require.NoError(t, err)
		_, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		d.confirm(run)

		fw = d.start()
		defer fw.Close()
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, number, st.Catalog.Number)
		require.NoError(t, d.checks(fw), "the catalog of today is not older than the bundle")
	})
}

func TestABundleBelowTheFloorIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		var stick bytes.Buffer
		require.NoError(t, d.Bundle(ctx, "1.0.0", &stick))
		image := code(50, 64)
		d.add("1.3.0", image, func(r *firmware.Release) { r.Epoch = 7 })
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		fw = d.start()
		defer fw.Close()
		require.NoError(t, fw.Confirm(ctx, firmware.By{}))
		d.config.Feed = feed.Dir(t.TempDir())
		_, err = fw.Upload(ctx, io.NopCloser(&stick), firmware.By{})
		require.ErrorIs(t, err, firmware.ErrDowngrade)
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}
