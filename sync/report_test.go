package sync_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// telling syncs a device, and returns what was told on the way, but for what was
// told of each file.
func (w *world) telling(d *device, rate func() (up, down int64)) (said string, r cloudsync.EngineResult) {
	w.Helper()
	var all []string
	last := cloudsync.Report{}
	end := func() {
		if p := last.Progress; last.Step != "" {
			all = append(all, fmt.Sprintf("%s %d/%d %d/%d", last.Step, p.Files, p.AllFiles, p.Bytes, p.AllBytes))
		}
	}
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
		c.Rate = rate
		c.Tell = func(r cloudsync.Report) {
			if r.Step != last.Step {
				end()
			}
			if last = r; r.Retry != nil {
				all = append(all, "retry: "+r.Retry.Error())
			}
		}
	}
	d.disk.now += 8
	r, err := w.sync(d, new(process), cloudsync.Request{})
	require.NoError(w, err)
	end()
	return strings.Join(all, ", "), r
}

func TestASyncTellsHowFarItHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		b.disk.vague = true
		a.disk.write("d/one", "1234")
		a.disk.write("two", "123")
		a.ignores["four"] = true
		a.disk.write("four", "4")
		w.cloud.fails["put"] = 1
		said, r := w.telling(a, nil)
		require.Equal(t, "scan 2/2 7/7, merge 0/0 0/0, retry: the connection was reset, upload 0/0 7/7", said)
		require.Equal(t, [3]int64{2, 0, 0}, [3]int64{r.Uploaded, r.Downloaded, r.Deleted})
		said, r = w.telling(b, nil)
		require.Equal(t, "scan 0/0 0/0, merge 0/0 0/0, download 2/2 7/7, apply 3/3 0/0", said)
		require.Equal(t, [3]int64{0, 2, 0}, [3]int64{r.Uploaded, r.Downloaded, r.Deleted})

		b.disk.remove("two")
		b.disk.rename("d/one", "d/uno")
		b.disk.write("three", "3")
		said, r = w.telling(b, nil)
		require.Equal(t, "scan 2/2 5/5, merge 0/0 0/0, upload 0/0 1/1", said)
		require.Equal(t, [3]int64{2, 0, 1}, [3]int64{r.Uploaded, r.Downloaded, r.Deleted})
		_, r = w.telling(a, nil)
		require.Equal(t, [3]int64{0, 2, 1}, [3]int64{r.Uploaded, r.Downloaded, r.Deleted})
	})
}

func TestTransfersTakeTheTimeThatIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a, b := w.devices[0], w.devices[1]
		a.disk.write("large", strings.Repeat("x", 400_000))
		begun := time.Now()
		w.telling(a, func() (int64, int64) { return 50_000, 0 })
		require.InDelta(t, 8, time.Since(begun).Seconds(), 0.1)

		begun = time.Now()
		w.telling(b, func() (int64, int64) { // nearly nothing at night, which is over after a while
			if time.Since(begun) > 10*time.Second {
				return 0, 0
			}
			return 0, 1
		})
		require.InDelta(t, 10, time.Since(begun).Seconds(), 1.1)
	})
}

func TestTheProgressOfAFirstSyncMovesWithWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{8 << 20, 40 << 20} {
			d := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) {
				c.Rate = func() (up, down int64) { return 1 << 20, 0 }
			})
			content := make([]byte, size)
			_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(content)
			d.disk.write("large", string(content))
			begun := time.Now()
			run, err := d.Start(t.Context(), cloudsync.Request{})
			require.NoError(t, err)
			seen, still := 0, begun
			var longest time.Duration
			for e, err := range d.Follow(t.Context(), run.ID) {
				require.NoError(t, err)
				require.GreaterOrEqual(t, e.Percent, seen)
				if e.Step == cloudsync.StepUpload && e.Kind == cloudsync.EventStep {
					require.Greater(t, e.Percent, 35, "what was read counts")
				}
				if e.Percent > seen {
					longest = max(longest, e.Time.Sub(still))
					seen, still = e.Percent, e.Time
				}
			}
			require.Equal(t, 100, seen)
			all := time.Since(begun)
			require.Greater(t, all, time.Duration(size>>20)*time.Second)
			require.Less(t, longest, all/8, "it stands still for %s of %s", longest, all)
		}
	})
}
