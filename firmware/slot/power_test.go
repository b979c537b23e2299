package slot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/durabletest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// shelf is a feed of images in segments as they are, and whose signatures count:
// nobody's.
type shelf map[string][]byte

func (s shelf) add(c *firmware.Catalog, version string, image []byte) {
	x := firmware.Index{Size: int64(len(image)), SegmentSize: firmware.MinSegment}
	for off := 0; off < len(image); off += firmware.MinSegment {
		raw := image[off:min(off+firmware.MinSegment, len(image))]
		digest := sha256.Sum256(raw)
		x.Segments = append(x.Segments, firmware.Segment{Digest: digest, Parts: []firmware.Part{
			{Way: firmware.WayRaw, Object: version, Offset: int64(off), Size: int64(len(raw)), Digest: digest},
		}})
	}
	index, err := x.MarshalBinary()
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256(index)
	s[version], s[fmt.Sprintf("%x", digest)] = image, index
	c.Number++
	c.Releases = append([]firmware.Release{{
		Version: version, Size: x.Size, Digest: sha256.Sum256(image), Meta: map[string]string{"roothash": "of_" + version},
		Index: firmware.Object{Name: fmt.Sprintf("%x", digest), Size: int64(len(index)), Digest: digest},
	}}, c.Releases...)
	s[firmware.CatalogName], _ = json.Marshal(c)
}

func (s shelf) Get(_ context.Context, name string, off, n int64) (io.ReadCloser, error) {
	data, known := s[name]
	if !known {
		return nil, fs.ErrNotExist
	}
	if n < 0 {
		n = int64(len(data)) - off
	}
	return io.NopCloser(bytes.NewReader(data[off : off+n])), nil
}

func (shelf) Catalog(_ context.Context, raw, _ []byte) (c firmware.Catalog, _ []byte, err error) {
	return c, nil, json.Unmarshal(raw, &c)
}

func (shelf) Bundle(context.Context, []byte, []byte) (b firmware.Bundle, err error) {
	return b, fs.ErrNotExist
}

func (s shelf) Unpacker() firmware.Unpacker { return s }

func (shelf) Unpack(_ firmware.Way, sent, _, raw []byte) error {
	copy(raw, sent)
	return nil
}

// remembering is a store of which a power cut takes nothing.
type remembering struct {
	firmware.DeviceStore
	disk *durabletest.Disk
}

// Save implements firmware.DeviceStore.
func (r remembering) Save(ctx context.Context, rec firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	now, err := r.DeviceStore.Save(ctx, rec, events...)
	if err == nil {
		r.disk.Remember(now.Clone())
	}
	return now, err
}

// rig is a device whose slots, records and variables are on a disk.
type rig struct {
	testing.TB
	dir    string
	shelf  shelf
	images map[string][]byte // by version

	disk  *durabletest.Disk
	db    *memory.DB
	slots *slot.Slots

	mu      sync.Mutex
	running string
	asked   bool // for a restart
}

func random(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

func newRig(t testing.TB) *rig {
	b := &rig{TB: t, dir: t.TempDir(), shelf: shelf{}, running: slot.SlotA}
	const size = firmware.MinSegment
	b.images = map[string][]byte{
		"1.2.0": random(1, 2*size+300), "1.2.5": random(2, size), "1.3.0": random(3, 6*size+700), "1.4.0": random(4, 2*size),
	}
	var c firmware.Catalog
	c.Product = "encoder"
	for _, version := range []string{"1.2.5", "1.3.0", "1.4.0"} {
		b.shelf.add(&c, version, b.images[version])
	}
	require.NoError(t, os.WriteFile(b.path(slot.SlotA), append(bytes.Clone(b.images["1.2.0"]), random(5, 5*size)...), 0o600))
	require.NoError(t, os.WriteFile(b.path(slot.SlotB), random(6, 7*size), 0o600))
	return b
}

func (b *rig) path(name string) string { return filepath.Join(b.dir, name) }

// power starts the device with what its disk has, and a store that has this.
func (b *rig) power(rec firmware.Record) {
	b.Helper()
	b.disk, b.db = durabletest.New(b, b.dir), memory.New()
	var err error
	b.slots, err = slot.OnDisk(slot.Config{
		A: b.path(slot.SlotA), B: b.path(slot.SlotB), Boot: slot.File{Path: b.path("variables")}, Running: func() (string, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.running, nil
		},
	}, b.disk)
	require.NoError(b, err)
	if rec.Rev > 0 {
		rec.Rev, rec.Token = 0, 0
		_, err = b.db.Firmware("4711").Save(b.Context(), rec)
		require.NoError(b, err)
	}
	b.boot()
}

// boot is what the boot loader does.
func (b *rig) boot() {
	b.Helper()
	next, err := slot.Next(b.Context(), slot.BootOf(b.slots))
	require.NoError(b, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = false
	if b.running = slot.SlotA; next != "" {
		b.running = next
	}
}

// image is the one that runs, which is whole.
func (b *rig) image() string {
	b.Helper()
	data, err := os.ReadFile(b.path(b.running))
	require.NoError(b, err)
	for version, image := range b.images {
		if bytes.HasPrefix(data, image) {
			return version
		}
	}
	require.Fail(b, "an image runs that is not whole", "slot %q", b.running)
	return ""
}

func (b *rig) service() *firmware.Service {
	b.Helper()
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Feed: b.shelf, Verifier: b.shelf, Slots: b.slots, Interval: -1,
		Locker: b.db.Locker(), DeviceStore: remembering{b.db.Firmware("4711"), b.disk},
		Health: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler),
		Reboot: func(context.Context) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.asked = true
			return nil
		},
	})
	require.NoError(b, err)
	return fw
}

// update goes on with the run that the device has, or begins one, until it has
// ended.
func (b *rig) update(version string) firmware.Run {
	b.Helper()
	ctx := b.Context()
	for range 5 { // starts
		fw := b.service()
		running, cancel := context.WithCancel(ctx)
		var ran sync.WaitGroup
		ran.Go(func() { _ = fw.Run(running) })
		synctest.Wait()
		run, err := fw.Update(ctx, firmware.Request{Version: version, By: firmware.By{RequestID: version}})
		for errors.Is(err, firmware.ErrBusy) { // somebody looks what runs
			time.Sleep(time.Second)
			run, err = fw.Update(ctx, firmware.Request{Version: version, By: firmware.By{RequestID: version}})
		}
		cancel()
		require.NoError(b, fw.Close())
		ran.Wait()
		if !b.asked {
			require.True(b, run.State.Done(), "%s: %v", run.State, err)
			return run
		}
		b.boot()
		b.image()
	}
	require.Fail(b, "the update does not end")
	return firmware.Run{}
}

// TestAPowerCutAtAnyMomentOfAnUpdateIsSurvived cuts the power at every write of
// an update, from its first to that which confirms it: of the image, of the slots'
// records, of the boot loader's variables and of the device's record.
func TestAPowerCutAtAnyMomentOfAnUpdateIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t)
		b.power(firmware.Record{})
		require.Equal(t, firmware.StateSucceeded, b.update("1.2.5").State)
		rec, err := b.db.Firmware("4711").Load(t.Context())
		require.NoError(t, err)
		b.power(rec)

		recorded := b.disk
		fw := b.service()
		run, err := fw.Update(t.Context(), firmware.Request{Version: "1.3.0", By: firmware.By{RequestID: "1.3.0"}})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		require.NoError(t, fw.Close())
		b.boot()
		fw = b.service()
		require.NoError(t, fw.Confirm(t.Context(), firmware.By{}))
		run, err = fw.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.NoError(t, fw.Close())
		require.Equal(t, "1.3.0", b.image())

		outcomes := map[string]int{}
		recorded.EachCut(t, func(state any) {
			if state == nil {
				state = rec
			}
			b.power(state.(firmware.Record))
			before := b.image()
			run := b.update("1.3.0")
			pair, err := b.slots.Pair(t.Context())
			require.NoError(t, err)
			require.True(t, pair.Confirmed)
			switch after := b.image(); run.State {
			case firmware.StateSucceeded:
				require.Equal(t, "1.3.0", after)
			case firmware.StateRolledBack: // the power went while it was on trial
				require.Equal(t, "1.2.5", after)
			default:
				require.Fail(t, "the update has failed", "%s: %s", run.State, run.Reason)
			}
			outcomes[before+" "+string(run.State)]++
			require.Equal(t, firmware.StateSucceeded, b.update("1.4.0").State)
			require.Equal(t, "1.4.0", b.image())
		})
		t.Log(outcomes)
		require.Positive(t, outcomes["1.2.5 succeeded"])
		require.Positive(t, outcomes["1.3.0 succeeded"])
		require.Positive(t, outcomes["1.2.5 rolled_back"])
	})
}
