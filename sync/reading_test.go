package sync_test

import (
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// stuck is a Remote that gives no pack once it is stuck, and is slow to stop.
type stuck struct {
	cloudsync.Remote
	is       atomic.Bool
	underway atomic.Int32
}

func (s *stuck) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if !s.is.Load() || !strings.HasPrefix(name, "packs/") {
		return s.Remote.Get(ctx, name, off, n)
	}
	waits := s.underway.Add(1)
	defer s.underway.Add(-1)
	<-ctx.Done()
	time.Sleep(time.Duration(waits) * time.Second)
	return nil, context.Cause(ctx)
}

func TestWhoClosesAFileWaitsForWhatIsReadAhead(t *testing.T) {
	ends := map[string]struct {
		end  func(d *desk, r io.Closer, cancel func()) error
		want error
	}{
		"the reader is closed": {func(_ *desk, r io.Closer, _ func()) error { return r.Close() }, cloudsync.ErrClosed},
		"the folder is closed": {func(d *desk, _ io.Closer, _ func()) error { return d.Close() }, cloudsync.ErrClosed},
		"the context ends": {func(_ *desk, _ io.Closer, cancel func()) error {
			cancel()
			time.Sleep(10 * time.Second)
			return nil
		}, context.Canceled},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stuck{Remote: memory.New().Remote("notes")}
				d := newDesk(t, "laptop", s, nil)
				d.disk.write("large", noise(rand.NewChaCha8([32]byte{1}), 40<<20))
				run := d.sync(cloudsync.Request{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, err := d.Open(ctx, run.Commit, "large")
				require.NoError(t, err)
				s.is.Store(true)
				read := make(chan error, 1)
				go func() {
					_, err := io.ReadAll(r)
					read <- err
				}()
				synctest.Wait()
				require.Greater(t, s.underway.Load(), int32(1), "some is read ahead")

				require.NoError(t, tt.end(d, r, cancel))
				require.Zero(t, s.underway.Load())
				require.ErrorIs(t, <-read, tt.want)
				require.NoError(t, r.Close())
				_, err = r.Read(make([]byte, 1))
				require.ErrorIs(t, err, tt.want)
			})
		})
	}
}
