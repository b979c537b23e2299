package firmware

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"time"
)

// How often what was written is made durable. After a kill nothing that is in
// the slot is fetched again: what came after the last durable segment is hashed
// in place.
const (
	syncSegments = 8
	syncBytes    = 16 << 20
	syncInterval = 2 * time.Second
)

// pull brings the image into the slot that does not run, segment by segment.
func (r *runner) pull() error {
	if _, err := r.pass(StepPull); err != nil {
		return err
	}
	if err := r.turn(StateRunning, DevicePulling, ""); err != nil {
		return err
	}
	release := r.rec.Run.Release
	// First what says how: the other slot is a way back as long as it can be.
	index, err := retried(r, func() (Index, error) { return r.s.index(r.ahead, release) }, passes)
	if err != nil {
		return err
	}
	file, err := retried(r, func() (File, error) { return r.s.config.Slots.Open(r.ahead, release) }, isUnavailable)
	if err != nil {
		return err
	}
	defer file.Close()
	base, missing := r.s.config.Slots.Base(r.ahead)
	if missing != nil {
		base = nil
	} else {
		defer base.Close()
	}
	f := newFetcher(r.ahead, r.s, index, base, r.rec.Running.Digest, r.now.Missing)
	if missing != nil {
		f.notes = append(f.notes, cut(fmt.Sprintf("there is no image to start from: %v", missing), maxReason))
	}
	defer f.close()
	if err := r.segments(file, index, f.segment, f, true); err != nil {
		return err
	}
	return r.enterPhase(phaseVerify)
}

// retried asks for something small until it is there, or the run gives up.
func retried[T any](r *runner, ask func() (T, error), passes func(error) bool) (v T, err error) {
	for try := 0; ; try++ {
		if v, err = ask(); err == nil || !passes(err) {
			return v, err
		}
		if err := r.again(try, err); err != nil {
			return v, err
		}
	}
}

// passes reports an error of a feed after which it is worth to ask again.
func passes(err error) bool {
	return !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrInvalid) &&
		!errors.Is(err, errWrite) && !isNotExist(err)
}

// The pauses between two tries.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = time.Hour
)

// again waits before the next try, longer and longer, or as long as the feed
// asks for. A run that has waited for too long without a durable segment has
// failed.
func (r *runner) again(try int, why error) error {
	if err := r.forward(); err != nil {
		return err
	}
	pause := min(firstPause<<min(try, 20), longestPause)
	pause = pause/2 + rand.N(pause/2+1)
	var said *UnavailableError
	if errors.As(why, &said) && said.After > 0 {
		pause = min(said.After, longestPause)
	}
	if !r.now.Phase.activated() {
		left := r.s.config.GiveUp - r.idle()
		if left <= 0 {
			return fmt.Errorf("%w: nothing came for %s: %w", ErrUnavailable, r.s.config.GiveUp, why)
		}
		pause = min(pause, left)
	}
	err := r.step(func(*Record) ([]Event, error) {
		return []Event{{Kind: EventRetry, Run: r.id, Message: cut(fmt.Sprintf("again in %s: %v", pause.Round(time.Millisecond), why), maxReason)}}, nil
	})
	if err != nil {
		return err
	}
	return r.rest(pause)
}

// idle is how long the run has gone without a durable segment, and makes it
// what the next step keeps.
func (r *runner) idle() time.Duration {
	now := time.Now()
	if !r.since.IsZero() {
		r.now.Idle += now.Sub(r.since)
	}
	r.since = now
	return r.now.Idle
}

var errWrite = errors.New("firmware: the slot was not written")

// segments writes what next returns, which f counts, and makes it durable. What
// can be asked for again is not asked for if it is in the slot.
func (r *runner) segments(
	file File, index Index, next func(context.Context, int) ([]byte, error), f *fetcher, again bool,
) error {
	from := min(r.now.Durable, len(index.Segments))
	i := from
	if again { // else they come in their order, all of them
		var err error
		if i, err = present(r.ahead, file, index, from); err != nil {
			return err
		}
	}
	c := &checkpoint{r: r, file: file, index: index, f: f, done: i, synced: from, at: time.Now()}
	if i > from {
		if err := c.sync(); err != nil {
			return err
		}
	}
	for try := 0; i < len(index.Segments); {
		if err := r.forward(); err != nil {
			return errors.Join(err, c.sync())
		}
		raw, err := r.within(i, next)
		if err == nil {
			err = r.forward() // what comes after a cancel is not written
		}
		if err == nil {
			offset, _ := index.Extent(i)
			_, err = file.WriteAt(raw, offset)
			if err != nil {
				return fmt.Errorf("%w: segment %d: %w", errWrite, i, err)
			}
			i, try = i+1, 0
			if err := c.add(len(raw)); err != nil {
				return err
			}
			continue
		}
		if err := r.forward(); err != nil {
			return errors.Join(err, c.sync())
		}
		if !again || !passes(err) {
			return errors.Join(fmt.Errorf("segment %d of %d: %w", i+1, len(index.Segments), err), c.sync())
		}
		if e := c.sync(); e != nil {
			return e
		}
		if err := r.again(try, err); err != nil {
			return err
		}
		try++
	}
	return c.sync()
}

// within asks for a segment, for no longer than the run may go without one.
func (r *runner) within(i int, next func(context.Context, int) ([]byte, error)) ([]byte, error) {
	left := max(r.s.config.GiveUp-r.idle(), time.Second)
	ctx, done := context.WithTimeoutCause(r.ahead, left, fmt.Errorf("%w: nothing came for %s", ErrUnavailable, r.s.config.GiveUp))
	defer done()
	return next(ctx, i)
}

// present returns the first segment from the given one on that is not in the
// slot. Of a run that goes on it looks no further than what may have been
// written without being made durable.
func present(ctx context.Context, file File, index Index, from int) (int, error) {
	buf := make([]byte, min(index.SegmentSize, index.Size))
	for i := from; ; i++ {
		if i == len(index.Segments) || from > 0 && i == from+2*syncSegments || ctx.Err() != nil {
			return i, context.Cause(ctx)
		}
		offset, size := index.Extent(i)
		n, err := file.ReadAt(buf[:size], offset)
		if int64(n) < size {
			if err != nil && !errors.Is(err, io.EOF) {
				return i, fmt.Errorf("reading the slot: %w", err)
			}
			return i, nil
		}
		if sha256.Sum256(buf[:size]) != index.Segments[i].Digest {
			return i, nil
		}
	}
}

// checkpoint makes what was written durable from time to time, and then the
// record that says so.
type checkpoint struct {
	r            *runner
	file         File
	index        Index
	f            *fetcher
	done, synced int // segments
	bytes        int // since the last
	at           time.Time
}

func (c *checkpoint) add(bytes int) error {
	c.done++
	c.bytes += bytes
	if c.done-c.synced < syncSegments && c.bytes < syncBytes && time.Since(c.at) < syncInterval {
		return nil
	}
	return c.sync()
}

func (c *checkpoint) sync() error {
	if c.done == c.synced && !c.f.news() {
		return nil
	}
	if c.done > c.synced {
		if err := c.file.Sync(); err != nil {
			return fmt.Errorf("%w: %w", errWrite, err)
		}
	}
	progressed := c.done > c.synced
	c.synced, c.bytes, c.at = c.done, 0, time.Now()
	r := c.r
	r.now.Durable = c.done
	if progressed {
		r.now.Idle, r.since = 0, time.Now()
	}
	pulled, notes := c.f.take()
	r.now.Missing = c.f.missing
	total := maps.Clone(r.rec.Run.Pulled)
	if total == nil {
		total = map[Way]int64{}
	}
	for way, n := range pulled {
		total[way] += n
	}
	return r.step(func(rec *Record) ([]Event, error) {
		rec.Run.Pulled = maps.Clone(total)
		offset := min(int64(c.done)*c.index.SegmentSize, c.index.Size)
		rec.Run.Percent = max(rec.Run.Percent, int(float64(offset)/float64(c.index.Size)*100))
		var events []Event
		for _, note := range notes {
			events = append(events, Event{Kind: EventLog, Run: r.id, Message: note})
		}
		return append(events, Event{Kind: EventProgress, Run: r.id}), nil
	})
}

// enterPhase makes the next part of the run the one that is under way.
func (r *runner) enterPhase(p phase) error {
	r.setPhase(p)
	return r.step(func(*Record) ([]Event, error) { return nil, nil })
}

func (r *runner) setPhase(p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Phase = p
}

// verify reads the image back from the slot.
func (r *runner) verify() error {
	if err := r.turn(StateRunning, DeviceVerifying, ""); err != nil {
		return err
	}
	release := r.rec.Run.Release
	file, err := r.s.config.Slots.Open(r.ahead, release)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for offset := int64(0); offset < release.Size; {
		if err := r.forward(); err != nil {
			return err
		}
		n, err := file.ReadAt(buf[:min(int64(len(buf)), release.Size-offset)], offset)
		h.Write(buf[:n])
		offset += int64(n)
		if err != nil && offset < release.Size {
			return fmt.Errorf("reading the slot: %w", err)
		}
	}
	if [32]byte(h.Sum(nil)) != release.Digest {
		return fmt.Errorf("%w: the slot does not hold what was written to it", ErrCorrupt)
	}
	return r.enterPhase(phaseInstall)
}
