package firmware_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var ann = firmware.By{Actor: "ann", Reason: "wanted"}

// shop is a feed in memory, and the verifier of what it has: nothing is signed,
// nothing is packed.
type shop struct {
	mu      sync.Mutex
	catalog firmware.Catalog
	objects map[string][]byte
	gets    []string
	segment int                                // bytes
	fail    func(name string, off int64) error // may be nil
	body    func(name string, off int64, body io.ReadCloser) io.ReadCloser
}

func newShop() *shop {
	return &shop{segment: segment, objects: map[string][]byte{}, catalog: firmware.Catalog{Product: "encoder"}}
}

func (s *shop) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.gets = append(s.gets, name)
	fail, body := s.fail, s.body
	data, known := s.objects[name]
	if name == firmware.CatalogName {
		data, _ = json.Marshal(s.catalog)
		known = true
	}
	s.mu.Unlock()
	if fail != nil {
		if err := fail(name, off); err != nil {
			return nil, err
		}
	}
	if !known {
		return nil, fs.ErrNotExist
	}
	if n < 0 {
		n = int64(len(data)) - off
	}
	rc := obedient{ctx, bytes.NewReader(data[off : off+n])}
	if body != nil {
		return body(name, off, rc), nil
	}
	return rc, nil
}

// obedient is a body that ends with the context of its request, as over HTTP.
type obedient struct {
	ctx context.Context
	io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if err := context.Cause(o.ctx); err != nil {
		return 0, err
	}
	return o.Reader.Read(p)
}

func (obedient) Close() error { return nil }

func (s *shop) Catalog(_ context.Context, raw, trust []byte) (c firmware.Catalog, next []byte, err error) {
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, nil, fmt.Errorf("%w: %w", firmware.ErrSignature, err)
	}
	var number int64
	fmt.Sscan(string(trust), &number)
	if c.Number < number {
		return c, nil, firmware.ErrReplayed
	}
	return c, fmt.Append(nil, c.Number), nil
}

func (s *shop) Bundle(_ context.Context, raw, _ []byte) (b firmware.Bundle, err error) {
	return b, json.Unmarshal(raw, &b)
}

func (s *shop) Unpacker() firmware.Unpacker { return s }

func (s *shop) Unpack(_ firmware.Way, sent, _, raw []byte) error {
	copy(raw, sent)
	return nil
}

func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

const segment = 64 << 10

// add publishes an image.
func (s *shop) add(version string, image []byte, change ...func(*firmware.Release)) firmware.Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := firmware.Index{Size: int64(len(image)), SegmentSize: int64(s.segment)}
	name := fmt.Sprintf("raw-%x", sha256.Sum256(image))
	s.objects[name] = image
	for off := 0; off < len(image); off += s.segment {
		raw := image[off:min(off+s.segment, len(image))]
		d := sha256.Sum256(raw)
		x.Segments = append(x.Segments, firmware.Segment{Digest: d, Parts: []firmware.Part{
			{Way: firmware.WayRaw, Object: name, Offset: int64(off), Size: int64(len(raw)), Digest: d},
		}})
	}
	index, err := x.MarshalBinary()
	if err != nil {
		panic(err)
	}
	r := firmware.Release{
		Version: version, Size: int64(len(image)), Digest: sha256.Sum256(image), Index: objectOf(index),
	}
	s.objects[r.Index.Name] = index
	for _, f := range change {
		f(&r)
	}
	s.catalog.Number++
	s.catalog.Releases = append([]firmware.Release{r}, s.catalog.Releases...)
	return r
}

// objectOf names an object by its digest.
func objectOf(data []byte) firmware.Object {
	d := sha256.Sum256(data)
	return firmware.Object{Name: fmt.Sprintf("%x", d), Size: int64(len(data)), Digest: d}
}

type device struct {
	t      *testing.T
	shop   *shop
	sim    *slot.Simulator
	db     *memory.DB
	config firmware.Config
}

func newDevice(t *testing.T) *device {
	d := &device{t: t, shop: newShop(), sim: slot.NewSimulator("1.2.0", noise(1, 3*segment+5)), db: memory.New()}
	d.config = firmware.Config{
		Product: "encoder", Device: "4711", Store: d.db, Slots: d.sim, Reboot: d.sim.Reboot,
		Feed: d.shop, Verifier: d.shop,
	}
	return d
}

// start is the program that begins with the device.
func (d *device) start() *firmware.Service {
	s, err := firmware.New(d.config)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { s.Close() })
	return s
}

// run is Run until the device restarts, or for some time.
func (d *device) run(fw *firmware.Service, most time.Duration) {
	ctx, cancel := context.WithTimeout(d.t.Context(), most)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	starts := d.sim.Starts()
	watching.Go(func() {
		for d.sim.Starts() == starts && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
		cancel()
	})
	_ = fw.Run(ctx)
}

func TestAnUpdateIsPulledInstalledAndConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 10*segment+17)
		d.shop.add("1.3.0", image)
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{By: ann})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, firmware.StateRestarting, run.State)
		assert.Equal(t, 100, run.Percent)
		require.NoError(t, fw.Close())

		fw = d.start()
		require.NoError(t, fw.Confirm(ctx, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.NoError(t, err)
		assert.Equal(t, firmware.StateSucceeded, run.State)
		assert.True(t, bytes.Equal(image, d.sim.Image()))
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.3.0", st.Version)
		assert.True(t, st.UpToDate)
		assert.Equal(t, firmware.DeviceIdle, st.State)
		var kinds []firmware.EventKind
		for e, err := range fw.Follow(ctx, run.ID) {
			require.NoError(t, err)
			kinds = append(kinds, e.Kind)
		}
		assert.Equal(t, firmware.EventStarted, kinds[0])
		assert.Equal(t, firmware.EventEnded, kinds[len(kinds)-1])
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrUpToDate)
	})
}

func TestAnImageThatIsNotWellFallsBackAndIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 10*segment+17))
		d.config.Automatic, d.config.Interval = true, time.Hour
		d.config.Health = func(context.Context) error { return fmt.Errorf("no picture") }
		for range 6 { // starts
			fw := d.start()
			d.run(fw, 6*time.Hour)
			require.NoError(t, fw.Close())
		}
		assert.Equal(t, 2, d.sim.Starts())
		fw := d.start()
		for run, err := range fw.History(ctx, firmware.Query{}) {
			require.NoError(t, err)
			assert.ErrorIs(t, run.Err(), firmware.ErrUnhealthy)
		}
		_, err := fw.Start(ctx, firmware.Request{})
		assert.ErrorContains(t, err, "rolled back")
		_, err = fw.Start(ctx, firmware.Request{Version: "1.3.0"})
		assert.NoError(t, err)
	})
}
