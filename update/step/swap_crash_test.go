//go:build unix

package step_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// script is a program that says its version.
func script(version string) string { return "#!/bin/sh\necho " + version + "\n" }

// deadly is a disk that calls die before and after each of its calls that
// changes a name.
type deadly struct {
	durable.Disk
	die func()
}

func (d deadly) around(f func() error) error {
	d.die()
	err := f()
	d.die()
	return err
}

func (d deadly) Create(path string) (f durable.File, err error) {
	err = d.around(func() error { f, err = d.Disk.Create(path); return err })
	return f, err
}

func (d deadly) Mkdir(path string) error {
	return d.around(func() error { return d.Disk.Mkdir(path) })
}

func (d deadly) Link(path, name string) error {
	return d.around(func() error { return d.Disk.Link(path, name) })
}

func (d deadly) Rename(path, name string) error {
	return d.around(func() error { return d.Disk.Rename(path, name) })
}

func (d deadly) Remove(path string) error {
	return d.around(func() error { return d.Disk.Remove(path) })
}

// dieAt returns a function that kills this process when it is called for the
// n-th time, from 1; for n = 0 it never does, and counts.
func dieAt(n int) (die func(), calls *int) {
	calls = new(int)
	return func() {
		if *calls++; *calls == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}, calls
}

// openSwap opens the Updater of the program in dir, and its state there.
func openSwap(dir string, disk durable.Disk) (*update.Updater, func(), error) {
	state, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db")})
	if err != nil {
		return nil, nil, err
	}
	u, err := swapUpdater(dir, dir, disk, state.Locker(), state.Journal())
	return u, func() { _, _ = u.Close(), state.Close() }, err
}

// swapUpdater is the Updater of the program in dir, whose release 1.1.0 is
// good and whose 1.2.0-rc.1 is found bad once it is in place.
func swapUpdater(dir, artifacts string, disk durable.Disk, l lease.Locker, j update.Journal) (*update.Updater, error) {
	var source offers
	for _, version := range []string{"1.1.0", "1.2.0-rc.1"} {
		r := releaseOf([]byte(script(version)))
		address := url.URL{Scheme: "file", Path: filepath.Join(artifacts, version)}
		r.Version, r.URL = version, address.String()
		source = append(source, r)
	}
	artifact := step.Artifact{Dir: filepath.Join(dir, "downloads")}
	health := update.Step{Name: "health", Do: func(_ context.Context, t *update.Task) error {
		if t.Release.Version != "1.1.0" {
			return errors.New("not well")
		}
		return nil
	}}
	return update.New(update.Config{Locker: l, Journal: j, Packages: []update.Package{{
		Name: "demo/app", Source: source, Steps: []update.Step{
			step.DownloadOn(artifact, disk),
			step.SwapOn(disk, false, step.Binary{Path: filepath.Join(dir, "app"), Artifact: artifact}),
			health,
		},
	}}})
}

func init() {
	// swap brings the program in a folder to a version, and kills itself at a
	// point.
	children["swap"] = func(args []string) {
		n, err := strconv.Atoi(args[2])
		if err != nil {
			panic(err)
		}
		die, _ := dieAt(n)
		u, closeAll, err := openSwap(args[0], deadly{durable.OS, die})
		if err != nil {
			panic(err)
		}
		defer closeAll()
		fmt.Println("ready")
		_, _ = u.Update(context.Background(), update.Request{Package: "demo/app", Version: args[1]})
	}
	// begin is a start of the program in a folder that kills itself at a point.
	children["begin"] = func(args []string) {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			panic(err)
		}
		die, _ := dieAt(n)
		fmt.Println("ready")
		_, _ = step.BeginOn(deadly{durable.OS, die}, false, filepath.Join(args[0], "app"), func(string, []string) error {
			os.Exit(0)
			return nil
		})
	}
}

// newSwap makes a folder with the program at release 1.0.0.
func newSwap(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	writeProgram(t, filepath.Join(dir, "app"), script("1.0.0"))
	for _, version := range []string{"1.1.0", "1.2.0-rc.1"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, version), []byte(script(version)), 0o600))
	}
	return dir
}

// says starts the program in dir and returns the version that it says. A program
// that is still open for writing does not start: so its tests run one after the
// other, since a process that another one starts would have it open as well.
func says(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(dir, "app")).CombinedOutput()
	require.NoError(t, err, "there is always a program that starts")
	return strings.TrimSpace(string(out))
}

// finishSwap starts the program that a killed process has left, and finishes
// its update.
func finishSwap(t *testing.T, dir, version string) {
	t.Helper()
	require.Contains(t, []string{"1.0.0", version}, says(t, dir))
	u, closeAll, err := openSwap(dir, durable.OS)
	require.NoError(t, err)
	defer closeAll()
	require.NoError(t, u.Recover(t.Context()))
	for run, err := range u.History(t.Context(), update.Query{}) {
		require.NoError(t, err)
		if version == "1.1.0" {
			require.Equal(t, update.StateSucceeded, run.State, run.Reason)
			require.Equal(t, "1.1.0", says(t, dir))
		} else {
			require.Equal(t, update.StateRolledBack, run.State, run.Reason)
			require.Equal(t, "1.0.0", says(t, dir))
		}
		names := installed{path: filepath.Join(dir, "app")}.beside(t)
		require.Subset(t, []string{"lock", "trial.json", "old-" + run.ID}, names)
		require.Empty(t, downloads(t, filepath.Join(dir, "downloads")))
		break
	}
}

// points counts the points of an update.
func points(t *testing.T, version string) int {
	t.Helper()
	die, calls := dieAt(0)
	u, closeAll, err := openSwap(newSwap(t), deadly{durable.OS, die})
	require.NoError(t, err)
	defer closeAll()
	_, err = u.Update(t.Context(), update.Request{Package: "demo/app", Version: version})
	require.Equal(t, version == "1.1.0", err == nil, err)
	return *calls
}

func TestThereIsAlwaysAProgramThatStarts(t *testing.T) {
	first := 1
	for _, version := range []string{"1.1.0", "1.2.0-rc.1"} {
		all := points(t, version)
		require.Greater(t, all, 2*10)
		for n := first; n <= all; n++ {
			t.Run(fmt.Sprintf("%s killed at point %d of %d", version, n, all), func(t *testing.T) {
				dir := newSwap(t)
				require.True(t, killed(t, startChild(t, child("swap", dir, version, strconv.Itoa(n)))), "the child got there")
				finishSwap(t, dir, version)
			})
		}
		// The way forward is the same for both; what differs comes after it.
		first = all - 2
	}
}

func TestThereIsAlwaysAProgramThatStartsKilledAtAnyMoment(t *testing.T) {
	start := time.Now()
	require.False(t, killed(t, startChild(t, child("swap", newSwap(t), "1.2.0-rc.1", "0"))))
	whole := time.Since(start)
	for i := range often(4, 40) {
		version := []string{"1.1.0", "1.2.0-rc.1"}[i%2]
		t.Run(version, func(t *testing.T) {
			dir := newSwap(t)
			for range 2 { // the second child begins with what the first one left
				cmd := startChild(t, child("swap", dir, version, "0"))
				time.AfterFunc(rand.N(whole), func() { _ = cmd.Process.Kill() })
				killed(t, cmd)
			}
			finishSwap(t, dir, version)
		})
	}
}

func TestAStartThatIsKilledGoesBackAtTheNext(t *testing.T) {
	t.Parallel()
	in, _, tk := onTrial(t, false)
	dir := filepath.Dir(in.path)
	for range 3 {
		require.False(t, killed(t, startChild(t, child("begin", dir, "0"))))
	}
	die, calls := dieAt(0)
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	_, err := step.BeginOn(deadly{durable.OS, die}, false, filepath.Join(copied, "app"), func(string, []string) error { return nil })
	require.Error(t, err, "the test does not become another program")
	require.Greater(t, *calls, 4)
	for n := 1; n <= *calls; n++ {
		t.Run(fmt.Sprintf("killed at point %d", n), func(t *testing.T) {
			t.Parallel()
			copied := t.TempDir()
			require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
			again := installed{path: filepath.Join(copied, "app")}
			require.True(t, killed(t, startChild(t, child("begin", copied, strconv.Itoa(n)))))
			require.Contains(t, []string{app("1.0.0"), app("1.1.0")}, again.content(t))
			require.False(t, killed(t, startChild(t, child("begin", copied, "0"))))
			require.Equal(t, app("1.0.0"), again.content(t))
			program, err := step.BeginOn(durable.OS, false, again.path, nil)
			require.NoError(t, err)
			require.ErrorContains(t, step.RestartAs("b", program).Verify(t.Context(), tk),
				"release 1.1.0 has gone back: it was started 3 times", "the update learns why at once")
		})
	}
}
