package sync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// expected are what a crowd may be told.
var expected = []error{
	cloudsync.ErrBusy, cloudsync.ErrNotFound, cloudsync.ErrStale, cloudsync.ErrInvalid, cloudsync.ErrClosed, cloudsync.ErrCancelled,
	cloudsync.ErrUnavailable, context.Canceled, lease.ErrLost,
}

// errAway is weather that a record of a run names too.
var errAway = fmt.Errorf("%w: %w", cloudsync.ErrUnavailable, errWeather)

// crowd is a Folder of which many ask everything at once.
type crowd struct {
	*desk
	random *rand.Rand
	mu     sync.Mutex
}

func (c *crowd) draw(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// commit is one of those that there are, or "".
func (c *crowd) commit(ctx context.Context) (string, error) {
	n := c.draw(4)
	for commit, err := range c.Commits(ctx, cloudsync.CommitQuery{}) {
		if n--; err != nil || n < 0 {
			return commit.ID, err
		}
	}
	return "", nil
}

// ask asks for something.
func (c *crowd) ask(ctx context.Context) error {
	by := cloudsync.By{Actor: "ann", RequestID: fmt.Sprint(c.draw(1000))}
	switch c.draw(13) {
	case 0:
		_, err := c.Plan(ctx, cloudsync.Request{})
		return err
	case 1:
		commit, err := c.commit(ctx)
		if err == nil {
			_, err = c.Restore(ctx, cloudsync.RestoreRequest{Commit: commit, By: by})
		}
		return err
	case 2:
		_, err := c.Compact(ctx, cloudsync.Retention{Age: time.Duration(c.draw(2)) * time.Nanosecond, Daily: c.draw(2)}, by)
		return err
	case 3:
		for conflict, err := range c.Conflicts(ctx) {
			if err != nil {
				return err
			}
			return c.Resolve(ctx, conflict, []cloudsync.Keep{cloudsync.KeepFile, cloudsync.KeepCopy, cloudsync.KeepBoth}[c.draw(3)], by)
		}
		return nil
	case 4:
		return lastOf(c.Verify(ctx, cloudsync.DepthContents))
	case 5:
		commit, err := c.commit(ctx)
		if err != nil {
			return err
		}
		r, err := c.Open(ctx, commit, "0")
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			err = errors.Join(err, r.Close())
		}
		return err
	case 6:
		commit, err := c.commit(ctx)
		if err == nil {
			err = c.Tag(ctx, fmt.Sprint(c.draw(3)), commit, by)
		}
		return err
	case 7:
		_, err := c.Repair(ctx, by)
		return err
	case 8:
		for run := range c.History(ctx, cloudsync.Query{Live: true}) {
			return c.Cancel(ctx, run.ID, by)
		}
		return nil
	case 9:
		return c.Configure(ctx, func(s *cloudsync.Settings) { s.Enabled = true }, by)
	case 10:
		return lastOf(c.Diff(ctx, "", ""))
	}
	_, err := c.Sync(ctx, cloudsync.Request{By: by, Force: c.draw(2) == 0})
	return err
}

// asks is one of those who ask, and give up.
func (c *crowd) asks() {
	for range 40 {
		ctx, cancel := context.WithCancel(c.t.Context())
		patience := c.draw(3000)
		go func() {
			for range patience {
				runtime.Gosched()
			}
			cancel()
		}()
		err := c.ask(ctx)
		if !slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }) && err != nil {
			c.t.Errorf("%s: %v", c.c.Device, err)
		}
		cancel()
		time.Sleep(time.Duration(c.draw(3000)) * time.Millisecond)
	}
}

// types edits files, while the remote fails now and then.
func (c *crowd) types(f *memory.Files, cloud *syncertest.Faults) {
	for n := range 60 {
		staged := cloudsync.Staging + "/typed-" + c.c.Device
		text := strings.NewReader(fmt.Sprint(c.c.Device, n))
		if f.Stage(c.t.Context(), cloudsync.File{Path: staged, Mode: 0o644, ModTime: time.Now()}, text) == nil {
			_, _ = f.Place(c.t.Context(), staged, fmt.Sprint(c.draw(9)))
		}
		calls := []syncertest.Call{syncertest.Put, syncertest.Get, syncertest.List, syncertest.Delete}
		cloud.Fail(calls[c.draw(len(calls))], c.draw(3), errAway)
		time.Sleep(time.Duration(c.draw(4000)) * time.Millisecond)
	}
}

// TestACrowdHarmsNobody: whatever is asked at once, and given up at any time.
func TestACrowdHarmsNobody(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			cloud := syncertest.Faulty(memory.New().Remote("notes"))
			var all []*crowd
			var files []*memory.Files
			var work sync.WaitGroup
			for i, name := range []string{"laptop", "phone"} {
				f := memory.New().Files("notes")
				d := newDesk(t, name, cloud, func(c *cloudsync.Config) {
					c.Files, c.Interval, c.MaxDelete.Share, c.Retain = f, time.Minute, 1, cloudsync.Retention{Age: time.Hour}
				})
				c := &crowd{desk: d, random: rand.New(rand.NewPCG(seed, uint64(i)))}
				all, files = append(all, c), append(files, f)
				ctx, stop := context.WithCancel(t.Context())
				work.Go(func() { _ = d.Run(ctx) })
				var asking sync.WaitGroup
				for range 6 {
					asking.Go(c.asks)
				}
				asking.Go(func() { c.types(f, cloud) })
				work.Go(func() { asking.Wait(); stop() })
			}
			work.Wait()
			for range 4 {
				for _, c := range all {
					for try := 0; ; try++ {
						_, err := c.Sync(t.Context(), cloudsync.Request{})
						if err == nil || try == 40 {
							require.NoError(t, err)
							break
						}
						time.Sleep(time.Minute)
					}
				}
			}
			require.Equal(t, textsOf(t, files[0]), textsOf(t, files[1]))
			for damage, err := range all[0].Verify(t.Context(), cloudsync.DepthContents) {
				require.NoError(t, err)
				require.Failf(t, "damage", "%v", damage)
			}
		})
	}
}

// textsOf are what files have, by path.
func textsOf(t *testing.T, files cloudsync.Files) map[string]string {
	all := make(map[string]string)
	for f, err := range files.List(t.Context(), "") {
		require.NoError(t, err)
		if f.Mode&fs.ModeDir != 0 {
			continue
		}
		r, err := files.Open(t.Context(), f.Path)
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		all[f.Path] = string(text)
	}
	return all
}
