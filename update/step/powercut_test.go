//go:build unix

package step_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durabletest"
	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// program returns what the program in dir says, after a power cut: that it is
// whole, and may be run.
func program(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "app")
	info, err := os.Stat(path)
	require.NoError(t, err, "there is always a program")
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0-rc.1"} {
		if string(data) == script(version) {
			return version
		}
	}
	require.Fail(t, "the program is not whole", "%q", data)
	return ""
}

func TestAPowerCutLeavesAProgramAndTheNextStartEndsTheUpdate(t *testing.T) {
	t.Parallel()
	for version, ends := range map[string]update.State{"1.1.0": update.StateSucceeded, "1.2.0-rc.1": update.StateRolledBack} {
		t.Run(version, func(t *testing.T) {
			dir, artifacts := filepath.Join(newSwap(t), "bin"), t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "downloads"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "app"), []byte(script("1.0.0")), 0o755))
			for _, v := range []string{"1.1.0", "1.2.0-rc.1"} {
				require.NoError(t, os.WriteFile(filepath.Join(artifacts, v), []byte(script(v)), 0o600))
			}
			disk := durabletest.New(t, dir)
			state := memory.New()
			defer state.Close()
			u, err := swapUpdater(dir, artifacts, disk, state.Locker(), remembering{state.Journal(), disk})
			require.NoError(t, err)
			defer u.Close()
			run, err := u.Update(t.Context(), update.Request{Package: "demo/app", Version: version})
			require.Equal(t, ends == update.StateSucceeded, err == nil, err)
			require.Equal(t, ends, run.State)

			disk.EachCut(t, func(state any) {
				is := program(t, dir)
				if state == nil {
					require.Equal(t, "1.0.0", is)
					return
				}
				run := state.(update.Run)
				if !run.State.Done() {
					run = recovered(t, dir, artifacts, run)
				}
				require.Equal(t, ends, run.State, run.Reason)
				require.Equal(t, map[update.State]string{update.StateSucceeded: "1.1.0", update.StateRolledBack: "1.0.0"}[ends], program(t, dir))
			})
		})
	}
}

// recovered lets a process that finds run in its journal finish it.
func recovered(t *testing.T, dir, artifacts string, run update.Run) update.Run {
	t.Helper()
	state := memory.New()
	defer state.Close()
	run.Token = 0
	_, err := state.Journal().Create(t.Context(), run, update.Event{Kind: update.EventStarted})
	require.NoError(t, err)
	u, err := swapUpdater(dir, artifacts, durabletest.Unsynced, state.Locker(), state.Journal())
	require.NoError(t, err)
	defer u.Close()
	require.NoError(t, u.Recover(t.Context()))
	run, err = u.Get(t.Context(), run.ID)
	require.NoError(t, err)
	return run
}

func TestAPowerCutDuringATrialLeavesAProgramAndAWayBack(t *testing.T) {
	for name, confirms := range map[string]bool{"that is confirmed": true, "that is not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInstalled(t)
				dir := filepath.Dir(in.path)
				require.NoError(t, os.WriteFile(in.path, []byte(script("1.0.0")), 0o755))
				require.NoError(t, os.Chmod(in.path, 0o755))
				tk := in.task(t, "one", script("1.1.0"))
				require.NoError(t, step.SwapBinary(in.binary()).Do(t.Context(), tk))
				disk := durabletest.New(t, dir)
				for range 4 {
					p, _, err := in.start(disk, false)
					require.NoError(t, err)
					if confirms {
						require.NoError(t, p.Confirm())
					}
				}
				disk.EachCut(t, func(any) {
					program(t, dir)
					goesBack := 0
					for range 6 {
						_, became, err := in.start(durabletest.Unsynced, false)
						require.NoError(t, err)
						if became {
							goesBack++
						}
					}
					if confirms && program(t, dir) == "1.1.0" {
						require.Zero(t, goesBack)
						return
					}
					require.Equal(t, "1.0.0", program(t, dir))
				})
			})
		})
	}
}

func TestAPowerCutDuringADownloadLeavesNothingThatIsTakenForWhole(t *testing.T) {
	content := noise(3 << 10)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	disk := durabletest.New(t, dir)
	a := step.Artifact{Dir: dir, Client: fetchtest.Serve(t, cutOnce(1000, fetchtest.Offer(content, `"v1"`)))}
	tk := releaseTask(releaseOf(content))
	require.NoError(t, step.DownloadOn(a, disk).Do(t.Context(), tk))
	done := 0
	disk.EachCut(t, func(any) {
		data, err := os.ReadFile(a.File(tk))
		if err != nil {
			require.ErrorIs(t, err, os.ErrNotExist)
			return
		}
		done++
		require.Equal(t, string(content), string(data))
	})
	require.Positive(t, done)
}

// remembering is a journal that tells a disk what it keeps.
type remembering struct {
	update.Journal
	disk *durabletest.Disk
}

func (j remembering) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	stored, err := j.Journal.Create(ctx, r, events...)
	j.keep(ctx, stored, err)
	return stored, err
}

func (j remembering) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	stored, err := j.Journal.Save(ctx, r, events...)
	j.keep(ctx, stored, err)
	return stored, err
}

func (j remembering) keep(ctx context.Context, stored update.Run, err error) {
	if err != nil {
		return
	}
	run, err := j.Journal.Get(ctx, stored.ID)
	if err != nil {
		panic(err)
	}
	j.disk.Remember(run)
}
