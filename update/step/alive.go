package step

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// signInterval is how often a step shows that it lives: oftener than the
// shortest Config.LockTTL.
const signInterval = 250 * time.Millisecond

// meanwhile calls sign at intervals on a goroutine that stop ends and waits for.
func meanwhile(sign func()) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(signInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				sign()
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// watchGrowth reports progress whenever f has grown, until stop is called.
func watchGrowth(f *os.File, t *update.Task) (stop func()) {
	var last int64
	return meanwhile(func() {
		if info, err := f.Stat(); err == nil && info.Size() > last {
			last = info.Size()
			t.Progress(0, 0, fmt.Sprintf("%d bytes saved", last))
		}
	})
}

// vouch says that the step lives while a statement works on size bytes without
// a word, until stop is called. It does so for a minute and a second for every
// 256 KiB: what takes longer than the slowest disk hangs, and is to stall.
func vouch(t *update.Task, message string, size int64) (stop func()) {
	until := time.Now().Add(time.Minute + time.Duration(size>>18)*time.Second)
	return meanwhile(func() {
		if time.Now().Before(until) {
			t.Progress(0, 0, message)
		}
	})
}

// steady is r until ctx ends. It calls sign with the number of bytes read so
// far: a read that does not return is one that hangs.
func steady(ctx context.Context, r io.Reader, sign func(n int64)) io.Reader {
	var total int64
	return readFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		n, err := r.Read(p)
		total += int64(n)
		sign(total)
		return n, err
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
