package firmware_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestAWayThatNeverComesFallsToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 50*segment)
		r := twoWays(d.shop, d.shop.add("1.3.0", image))
		d.shop.set(func() {
			d.shop.catalog.Releases[0] = r
			d.shop.fail = func(name string, _ int64) error {
				if name == "patch" {
					return &firmware.UnavailableError{Err: errors.New("500")}
				}
				return nil
			}
		})
		fw := d.start()
		began := time.Now()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 3, d.shop.count("patch"))
		assert.Less(t, time.Since(began), time.Minute)
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}

func TestAnOutageOfOneWayIsWaitedForThoughTheOtherIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 4*segment)
		r := twoWays(d.shop, d.shop.add("1.3.0", image))
		back := time.Now().Add(time.Hour)
		d.shop.catalog.Releases[0] = r
		d.shop.fail = func(name string, _ int64) error {
			switch {
			case name == d.shop.rawOf(r):
				return fs.ErrNotExist
			case name == "patch" && time.Now().Before(back):
				return &firmware.UnavailableError{Err: errors.New("503")}
			}
			return nil
		}
		d.shop.objects["patch"] = image
		_, err := d.start().Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 1, d.shop.count(d.shop.rawOf(r)))
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}

func TestTheTimeForWritingIsNotThatOfTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Stall = time.Minute
		d.sim.Inject(slot.Faults{Write: func(string, int64, []byte) error {
			time.Sleep(2 * time.Minute)
			return nil
		}})
		_, err := d.start().Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 1, d.shop.count(d.shop.rawOf(r)), "one request is enough")
	})
}

// twoWays puts another way in front of the one that a release has.
func twoWays(s *shop, r firmware.Release) firmware.Release {
	var x firmware.Index
	if err := x.UnmarshalBinary(s.objects[r.Index.Name]); err != nil {
		panic(err)
	}
	for i := range x.Segments {
		first := x.Segments[i].Parts[0]
		first.Object, first.Way = "patch", firmware.WayZstd
		x.Segments[i].Parts = append([]firmware.Part{first}, x.Segments[i].Parts...)
	}
	raw, err := x.MarshalBinary()
	if err != nil {
		panic(err)
	}
	r.Index = objectOf(raw)
	s.objects[r.Index.Name] = raw
	return r
}

func TestAFeedThatTricklesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.config.GiveUp = 2 * time.Hour
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.body = func(name string, _ int64, body io.ReadCloser) io.ReadCloser {
			if name == d.shop.rawOf(r) {
				return trickle{body}
			}
			return body
		}
		fw := d.start()
		began := time.Now()
		_, err := fw.Update(t.Context(), firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrUnavailable)
		require.ErrorIs(t, err, firmware.ErrFailed)
		assert.InDelta(t, 2, time.Since(began).Hours(), 0.1)
	})
}

// trickle brings a byte every 50 seconds.
type trickle struct{ io.ReadCloser }

func (s trickle) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Second)
	return s.ReadCloser.Read(p[:1])
}
