package firmware_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// endless is a body without an end, of which the bytes are counted.
type endless struct{ read *int }

func (e endless) Read(p []byte) (int, error) {
	*e.read += len(p)
	return len(p), nil
}

func (endless) Close() error { return nil }

func TestACatalogWithoutAnEndIsNotReadToIt(t *testing.T) {
	ctx, d := t.Context(), newDevice(t)
	read := 0
	d.shop.body = func(string, int64, io.ReadCloser) io.ReadCloser { return endless{&read} }
	fw := d.start()
	_, err := fw.Check(ctx)
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	assert.LessOrEqual(t, read, 4<<20+1)
	st, err := fw.Status(ctx)
	require.NoError(t, err)
	require.ErrorIs(t, st.Check.Err(), firmware.ErrCorrupt)
}

func TestACatalogComesNoFasterThanAllElseAndIsNotGivenUpForThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, segment))
		d.shop.catalog.Releases[0].Meta = map[string]string{"notes": string(make([]byte, 1<<10))} // 6 KiB of JSON
		d.config.Stall = time.Second
		d.config.Rate = func() int64 { return 8 }
		began := time.Now()
		_, err := d.start().Check(ctx)
		require.NoError(t, err)
		assert.Greater(t, time.Since(began), 10*time.Minute, "longer than a feed may take that is as slow by itself")
	})
}

func TestACatalogThatTricklesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, segment))
		d.shop.body = func(_ string, _ int64, body io.ReadCloser) io.ReadCloser { return trickle{body} }
		began := time.Now()
		_, err := d.start().Check(ctx)
		require.ErrorIs(t, err, firmware.ErrUnavailable)
		assert.Less(t, time.Since(began), 30*time.Minute)
	})
}

func TestAPlanThatWasMadeIsToldAgainAndOthersWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 3*segment))
		fw := d.start()
		_, err := fw.Check(ctx)
		require.NoError(t, err)
		fail := errors.New("down")
		d.shop.fail = func(string, int64) error {
			time.Sleep(time.Second)
			return fail
		}
		_, err = fw.Plan(ctx, firmware.Request{})
		require.ErrorIs(t, err, fail, "what failed is not remembered")
		fail = nil
		began := time.Now()
		var planning sync.WaitGroup
		for range 10 {
			planning.Go(func() {
				p, err := fw.Plan(ctx, firmware.Request{})
				assert.NoError(t, err)
				assert.Equal(t, map[firmware.Way]int64{firmware.WayRaw: 3 * segment}, p.Pull)
				clear(p.Pull) // it is the caller's
			})
		}
		planning.Wait()
		assert.Equal(t, 2, d.shop.count(r.Index.Name))
		assert.Equal(t, time.Second, time.Since(began))
	})
}
