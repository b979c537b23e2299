package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

// count is how often an object was asked for.
func (s *shop) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, got := range s.gets {
		if got == name {
			n++
		}
	}
	return n
}

func (s *shop) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// rawOf is the object that has the image of a release, as shop makes it.
func (s *shop) rawOf(r firmware.Release) string { return fmt.Sprintf("raw-%x", r.Digest) }

// short is a body that ends after some bytes with an error.
type short struct {
	io.ReadCloser
	left int
	err  error
}

func (s *short) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, s.err
	}
	n, err := s.ReadCloser.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

func TestAPullGoesThroughResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 40*segment+17)
		r := d.shop.add("1.3.0", image)
		var sent atomic.Int64
		d.shop.body = func(name string, _ int64, body io.ReadCloser) io.ReadCloser {
			if name != d.shop.rawOf(r) {
				return body
			}
			return &counting{&short{body, 3*segment + 100, io.ErrUnexpectedEOF}, &sent}
		}
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 14, d.shop.count(d.shop.rawOf(r)), "three segments a request")
		assert.LessOrEqual(t, sent.Load(), int64(len(image)+14*100))
		assert.True(t, bytes.Equal(image, d.sim.Image()))
	})
}

type counting struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestARequestWithoutAByteIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		tries := 0
		d.shop.fail = nil
		slow := &hanging{ctx: ctx, name: d.shop.rawOf(r), times: 3, tries: &tries, Feed: d.shop}
		d.config.Feed = slow
		fw := d.start()
		began := time.Now()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 4, tries)
		assert.Greater(t, time.Since(began), 3*time.Minute)
		assert.Less(t, time.Since(began), 4*time.Minute)
	})
}

// hanging is a feed that does not answer a few times.
type hanging struct {
	firmware.Feed
	ctx   context.Context
	name  string
	times int
	tries *int
}

func (h *hanging) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if name == h.name {
		if *h.tries++; *h.tries <= h.times {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return h.Feed.Get(ctx, name, off, n)
}

func TestARunThatGetsNothingGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		d.shop.fail = func(name string, _ int64) error {
			if name == d.shop.rawOf(r) {
				return &firmware.UnavailableError{Err: errors.New("down")}
			}
			return nil
		}
		d.config.GiveUp = 24 * time.Hour
		fw := d.start()
		began := time.Now()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrUnavailable)
		require.ErrorIs(t, err, firmware.ErrFailed)
		assert.Equal(t, firmware.StateFailed, run.State)
		assert.InDelta(t, 24, time.Since(began).Hours(), 1.5)
		assert.Greater(t, d.shop.count(d.shop.rawOf(r)), 24, "at least once an hour")
		assert.Less(t, d.shop.count(d.shop.rawOf(r)), 4*24)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceFailed, st.State)
	})
}

func TestAFeedSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		tries := 0
		d.shop.fail = func(name string, _ int64) error {
			if name == d.shop.rawOf(r) && tries < 2 {
				tries++
				return &firmware.UnavailableError{After: 17 * time.Minute}
			}
			return nil
		}
		fw := d.start()
		began := time.Now()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, 34*time.Minute, time.Since(began))
	})
}

func TestBytesThatWereNotSignedAreNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		image := noise(2, 10*segment)
		r := d.shop.add("1.3.0", image)
		d.shop.objects[d.shop.rawOf(r)] = slices.Concat(image[:5*segment+3], []byte{image[5*segment+3] ^ 1}, image[5*segment+4:])
		fw := d.start()
		run, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrCorrupt)
		assert.Equal(t, 50, run.Percent)
		assert.LessOrEqual(t, d.shop.count(d.shop.rawOf(r)), 4)
		pair, err := d.sim.Pair(ctx)
		require.NoError(t, err)
		assert.False(t, pair.Other.Whole)
		_, err = fw.Rollback(ctx, run.ID, ann)
		require.ErrorIs(t, err, firmware.ErrTooLate)

		d.shop.set(func() { d.shop.objects[d.shop.rawOf(r)] = image })
		_, err = fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrRestarting)
	})
}

func TestAnObjectThatIsNotThereIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 100*segment))
		d.shop.set(func() { delete(d.shop.objects, d.shop.rawOf(r)) })
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrNotFound)
		assert.ErrorContains(t, err, d.shop.rawOf(r))
		assert.Equal(t, 1, d.shop.count(d.shop.rawOf(r)))
	})
}

func TestAGateHoldsARunAndApplyOpensIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		asked := 0
		d.config.Gate = func(_ context.Context, run firmware.Run, next firmware.Step) error {
			if next == firmware.StepPull {
				return nil
			}
			asked++
			return errors.New("not at noon")
		}
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		require.Equal(t, firmware.StateWaiting, st.Run.State)
		assert.Equal(t, "not at noon", st.Run.Reason)
		assert.Equal(t, firmware.DeviceIdle, st.State)
		assert.Equal(t, 100, st.Run.Percent)
		assert.InDelta(t, 11, asked, 1, "once a minute")
		pair, err := d.sim.Pair(ctx)
		require.NoError(t, err)
		assert.False(t, pair.Other.Whole)

		require.NoError(t, fw.Close(), "a power cut while it waits")
		fw = d.start()
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { _ = fw.Run(running) }()
		time.Sleep(time.Minute)
		require.NoError(t, fw.Apply(ctx, run.ID, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrRestarting)
		assert.Equal(t, "ann", run.Apply.Actor)
		assert.Equal(t, 1, d.shop.count(d.shop.rawOf(r)), "nothing is pulled again")
		require.ErrorIs(t, fw.Cancel(ctx, run.ID, ann), firmware.ErrTooLate)
	})
}

func TestARunThatWaitsCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Gate = func(context.Context, firmware.Run, firmware.Step) error { return errors.New("no") }
		fw := d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		run, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrCancelled)
		assert.Equal(t, "by ann: wanted", run.Reason)
		require.NoError(t, fw.Cancel(ctx, run.ID, ann))
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, firmware.DeviceIdle, st.State)
		assert.Equal(t, run.ID, st.Last.ID)
	})
}

func TestACancelEndsAPullAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		tries := 0
		d.config.Feed = &hanging{ctx: ctx, name: d.shop.rawOf(r), times: 1 << 20, tries: &tries, Feed: d.shop}
		fw, other := d.start(), d.start()
		run, err := fw.Start(ctx, firmware.Request{})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		st, err := fw.Status(ctx)
		require.NoError(t, err)
		require.Equal(t, firmware.DevicePulling, st.State)
		_, err = other.Start(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrBusy)
		asked := time.Now()
		require.NoError(t, other.Cancel(ctx, run.ID, ann), "by another process")
		st, err = fw.Status(ctx)
		require.NoError(t, err)
		require.Equal(t, firmware.DeviceCancelling, st.State)
		_, err = fw.Wait(ctx, run.ID)
		require.ErrorIs(t, err, firmware.ErrCancelled)
		assert.LessOrEqual(t, time.Since(asked), time.Second)
	})
}

// cramped slots have no room.
type cramped struct{ firmware.Slots }

func (c cramped) Open(_ context.Context, r firmware.Release) (firmware.File, error) {
	return nil, &firmware.SpaceError{Need: r.Size, Have: r.Size - 1}
}

func TestAnImageThatDoesNotFitIsRefusedBeforeAByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		r := d.shop.add("1.3.0", noise(2, 4*segment))
		d.config.Slots = cramped{d.sim}
		fw := d.start()
		_, err := fw.Update(ctx, firmware.Request{})
		require.ErrorIs(t, err, firmware.ErrNoSpace)
		assert.Zero(t, d.shop.count(d.shop.rawOf(r)))
	})
}

func TestCheckTellsWhyItFailedAndChangesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.shop.add("1.3.0", noise(2, 4*segment))
		fw := d.start()
		catalog, err := fw.Check(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, catalog.Number)
		for want, spoil := range map[error]func(){
			firmware.ErrMismatch:    func() { d.shop.catalog.Product = "decoder" },
			firmware.ErrExpired:     func() { d.shop.catalog.Expires = time.Now().Add(-time.Hour) },
			firmware.ErrReplayed:    func() { d.shop.catalog.Number = 0 },
			firmware.ErrUnavailable: func() { d.shop.fail = func(string, int64) error { return &firmware.UnavailableError{} } },
		} {
			before := d.shop.catalog.Clone()
			d.shop.set(spoil)
			_, err := fw.Check(ctx)
			require.ErrorIs(t, err, want)
			d.shop.set(func() { d.shop.catalog, d.shop.fail = before, nil })
			st, err := fw.Status(ctx)
			require.NoError(t, err)
			assert.Equal(t, firmware.DeviceIdle, st.State)
			require.ErrorIs(t, st.Check.Err(), want)
			assert.EqualValues(t, 1, st.Catalog.Number)
		}
	})
}

func TestRunUpdatesByItselfAndConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d := t.Context(), newDevice(t)
		d.config.Automatic, d.config.Interval = true, time.Hour
		d.config.Health = func(context.Context) error { return nil }
		var ended []firmware.Run
		d.config.OnFinish = func(r firmware.Run) { ended = append(ended, r) }
		for start := range 3 {
			fw := d.start()
			if start == 0 {
				d.shop.add("1.3.0", noise(2, 4*segment))
			}
			d.run(fw, 4*time.Hour)
			if start == 1 {
				d.shop.add("1.4.0", noise(3, 4*segment))
			}
			require.NoError(t, fw.Close())
		}
		st, err := d.start().Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, "1.3.0", st.Version)
		require.Len(t, ended, 1)
		assert.Equal(t, firmware.StateSucceeded, ended[0].State)
		assert.Equal(t, 2, d.sim.Starts(), "and 1.4.0 is on trial")
	})
}
