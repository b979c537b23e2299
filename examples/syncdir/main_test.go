package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const (
	passphrase = "correct horse battery staple"
	// mainVariable makes the test binary be the program, so that it can be killed.
	mainVariable = "UPKEEP_TEST_SYNCDIR_MAIN"
)

// programs are what the test binary is if a variable is set.
var programs = map[string]func(){mainVariable: main}

func TestMain(m *testing.M) {
	for variable, program := range programs {
		if os.Getenv(variable) != "" {
			program()
		}
	}
	os.Exit(m.Run())
}

// device is one that shares a cloud with others.
type device struct {
	t                           *testing.T
	state, folder, cloud, named string
}

// devices have nothing in common but the cloud.
func devices(t *testing.T, names ...string) (all []device) {
	t.Setenv("UPKEEP_PASSPHRASE", passphrase)
	root := t.TempDir()
	for _, name := range names {
		all = append(all, device{t, filepath.Join(root, name+" state"), filepath.Join(root, name), filepath.Join(root, "cloud"), name})
	}
	return all
}

func (d device) args(command ...string) []string {
	return append([]string{d.state, d.folder, d.cloud, d.named}, command...)
}

// try runs a command.
func (d device) try(command ...string) (said string, err error) {
	var out bytes.Buffer
	err = run(d.t.Context(), d.args(command...), &out)
	return out.String(), err
}

// does runs a command that has to succeed.
func (d device) does(command ...string) (said string) {
	d.t.Helper()
	said, err := d.try(command...)
	require.NoError(d.t, err, command)
	return said
}

func (d device) write(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.folder, name)
	require.NoError(d.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(d.t, os.WriteFile(path, []byte(text), 0o600))
}

// files are what a person sees.
func (d device) files() map[string]string {
	d.t.Helper()
	found := make(map[string]string)
	names, err := filepath.Glob(filepath.Join(d.folder, "*"))
	require.NoError(d.t, err)
	for _, name := range names {
		if filepath.Base(name) == cloudsync.Staging {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(d.t, err)
		found[filepath.Base(name)] = string(text)
	}
	return found
}

func TestTwoDevicesKeepBothEditsOfAFileUntilOneIsChosen(t *testing.T) {
	two := devices(t, "laptop", "phone")
	laptop, phone := two[0], two[1]
	laptop.write("diary.md", "nothing new")
	require.Equal(t, "1 up, 0 down, 0 deleted, 0 conflicts\n", laptop.does("sync"))
	require.Equal(t, "0 up, 1 down, 0 deleted, 0 conflicts\n", phone.does("sync"))
	require.Equal(t, "there is nothing to do\n", phone.does("plan"))

	laptop.write("diary.md", "rain")
	phone.write("diary.md", "sun")
	laptop.does("sync")
	require.Contains(t, phone.does("sync"), "1 conflicts\n")
	require.Regexp(t, `^diary\.md \| diary \(conflict [0-9a-f]+\)\.md\n$`, phone.does("conflicts"))
	require.Len(t, phone.files(), 2)
	require.Equal(t, "rain", phone.files()["diary.md"])

	require.Empty(t, phone.does("keep", "copy"))
	require.Empty(t, phone.does("conflicts"))
	phone.does("sync")
	laptop.does("sync")
	require.Equal(t, map[string]string{"diary.md": "sun"}, phone.files())
	require.Equal(t, phone.files(), laptop.files())
}

func TestWhatAGuardRefusesIsDoneByItsPlan(t *testing.T) {
	laptop := devices(t, "laptop")[0]
	for day := range 30 {
		laptop.write(fmt.Sprintf("%02d.md", day), "nothing new")
	}
	laptop.does("sync")
	for day := range 29 {
		require.NoError(t, os.Remove(filepath.Join(laptop.folder, fmt.Sprintf("%02d.md", day))))
	}
	_, err := laptop.try("sync")
	require.ErrorIs(t, err, cloudsync.ErrGuard)
	require.ErrorContains(t, err, "the command plan")
	plan := regexp.MustCompile(`delete_remote 28\.md \(11 bytes\)\nrefused: .*29 of 30.*\nto do it all the same: sync (\S+)\n$`).FindStringSubmatch(laptop.does("plan"))
	require.NotNil(t, plan)
	require.Equal(t, "0 up, 0 down, 29 deleted, 0 conflicts\n", laptop.does("sync", plan[1]))
	_, err = laptop.try("sync", plan[1])
	require.ErrorIs(t, err, cloudsync.ErrStale, "it was a plan of another day")
}

func TestYesterdayComesBack(t *testing.T) {
	laptop := devices(t, "laptop")[0]
	laptop.write("diary.md", "a long story")
	laptop.does("sync")
	laptop.write("diary.md", "")
	laptop.does("sync")
	laptop.write("other.md", "of no matter here")
	laptop.does("sync")

	commits := regexp.MustCompile(`(?m)^([0-9a-f]{32}) .* laptop +1 files, (\d+) bytes$`).FindAllStringSubmatch(laptop.does("log", "diary.md"), -1)
	require.Len(t, commits, 2)
	require.Equal(t, "12", commits[1][2])
	require.Equal(t, "a long story", laptop.does("show", commits[1][1], "diary.md"))
	laptop.does("restore", commits[1][1], "diary.md")
	require.Equal(t, "a long story", laptop.files()["diary.md"])
	_, err := laptop.try("show", commits[1][1], "other.md")
	require.ErrorIs(t, err, cloudsync.ErrNotFound)
}

func TestWhatNothingNeedsIsDeletedAndTheRestIsWell(t *testing.T) {
	two := devices(t, "laptop", "phone")
	laptop, phone := two[0], two[1]
	laptop.write("diary.md", "nothing new")
	laptop.write("photos", noise(1<<20))
	laptop.does("sync")
	require.NoError(t, os.Remove(filepath.Join(laptop.folder, "photos")))
	laptop.does("sync")
	require.Contains(t, laptop.does("compact", "0"), "0 commits forgotten")
	require.Equal(t, "all is well\n", laptop.does("verify"))
	phone.does("sync")
	require.Equal(t, map[string]string{"diary.md": "nothing new"}, phone.files())

	packs := laptop.packs()
	require.NotEmpty(t, packs)
	require.NoError(t, os.Remove(packs[0]))
	said, err := laptop.try("verify")
	require.ErrorContains(t, err, "the command repair")
	require.Contains(t, said, filepath.Base(filepath.Dir(packs[0])))
	require.Len(t, laptop.files(), 1)
}

func (d device) packs() []string {
	d.t.Helper()
	found, err := filepath.Glob(filepath.Join(d.cloud, "packs", "*", "*"))
	require.NoError(d.t, err)
	return found
}

// noise is what cannot be compressed.
func noise(bytes int) string {
	made := make([]byte, bytes)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(made)
	return string(made)
}

func TestAWrongPassphraseOpensNothing(t *testing.T) {
	three := devices(t, "laptop", "phone", "thief")
	laptop, phone, thief := three[0], three[1], three[2]
	laptop.write("diary.md", "nothing new")
	laptop.does("sync")
	phone.does("sync")
	for _, guess := range []string{"a guess", ""} {
		t.Setenv("UPKEEP_PASSPHRASE", guess)
		_, err := thief.try("sync")
		require.ErrorIs(t, err, cloudsync.ErrPassphrase)
		require.ErrorContains(t, err, "UPKEEP_PASSPHRASE")
		require.Empty(t, thief.files())
		phone.does("sync") // it has opened the cloud before
	}
}

func TestASyncThatWasKilledIsGoneOnWith(t *testing.T) {
	for bytes := 14 << 20; !killedInTheMiddle(t, noise(bytes)); bytes *= 2 { // it was too fast
		require.Less(t, bytes, 1<<30)
	}
}

// killedInTheMiddle kills a sync once some of the photos are in the cloud, and
// reports whether nothing was committed by then.
func killedInTheMiddle(t *testing.T, photos string) bool {
	two := devices(t, "laptop", "phone")
	laptop, phone := two[0], two[1]
	laptop.write("photos", photos)
	killed := exec.CommandContext(t.Context(), os.Args[0], laptop.args("sync")...)
	killed.Env = append(os.Environ(), mainVariable+"=1")
	require.NoError(t, killed.Start())
	require.Eventually(t, func() bool { return len(laptop.packs()) > 0 }, time.Minute, time.Millisecond)
	require.NoError(t, killed.Process.Kill())
	_ = killed.Wait()
	heads, err := filepath.Glob(filepath.Join(laptop.cloud, "heads", "*"))
	require.NoError(t, err)
	if len(heads) > 0 {
		return false
	}
	require.Equal(t, "1 up, 0 down, 0 deleted, 0 conflicts\n", laptop.does("sync"))
	phone.does("sync")
	require.True(t, photos == phone.files()["photos"])
	return true
}

func TestWatchSyncsUntilItIsStopped(t *testing.T) {
	laptop := devices(t, "laptop")[0]
	laptop.write("diary.md", "nothing new")
	ctx, stop := context.WithCancel(t.Context())
	out := stopper{stop: stop}
	require.NoError(t, run(ctx, laptop.args("watch"), &out))
	require.Contains(t, out.String(), " synced\n")
}

// stopper ends a command with the first line that it writes.
type stopper struct {
	bytes.Buffer
	stop func()
}

func (s *stopper) Write(text []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(text)
}

func TestAWrongCommandLineDoesNothing(t *testing.T) {
	laptop := devices(t, "laptop")[0]
	for _, args := range [][]string{
		nil, {"sync"}, laptop.args(), laptop.args("dance"), laptop.args("show"), laptop.args("restore", "commit"), laptop.args("plan", "more"),
	} {
		err := run(t.Context(), args, &bytes.Buffer{})
		require.ErrorIs(t, err, errUsage, args)
		require.Equal(t, 2, exitCode(err))
		require.NoDirExists(t, laptop.state)
		require.NoDirExists(t, laptop.cloud)
	}
	_, err := laptop.try("compact", "soon")
	require.ErrorContains(t, err, `"soon" is no number of days`)
	require.Equal(t, 1, exitCode(err))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-h"}, &out))
	require.Equal(t, usage, out.String())
	require.Equal(t, 0, exitCode(nil))
}

func TestACloudThatHasGoneBackIsUnitedByAFreshBeginning(t *testing.T) {
	two := devices(t, "laptop", "phone")
	laptop, phone := two[0], two[1]
	laptop.write("old.md", "of monday")
	laptop.does("sync")
	backup := filepath.Join(t.TempDir(), "backup")
	require.NoError(t, os.CopyFS(backup, os.DirFS(laptop.cloud)))
	laptop.write("new.md", "of tuesday")
	laptop.does("sync")
	require.NoError(t, os.RemoveAll(laptop.cloud))
	require.NoError(t, os.Rename(backup, laptop.cloud))
	phone.does("sync")

	_, err := laptop.try("sync")
	require.ErrorIs(t, err, cloudsync.ErrForked)
	require.ErrorContains(t, err, "command fresh")
	laptop.does("fresh")
	phone.does("sync")
	require.Equal(t, map[string]string{"old.md": "of monday", "new.md": "of tuesday"}, phone.files())
	require.Equal(t, phone.files(), laptop.files())
	laptop.does("sync")
}

func TestWhatChangesWithEverySyncIsNotInTheFolder(t *testing.T) {
	laptop := devices(t, "laptop")[0]
	laptop.write("x", "1")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(laptop.folder, link))
	for name, change := range map[string]func(d *device){
		"STATE": func(d *device) { d.state = filepath.Join(d.folder, "deep", "state") },
		"CLOUD": func(d *device) { d.cloud = filepath.Join(link, "cloud") },
	} {
		d := laptop
		change(&d)
		_, err := d.try("sync")
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, name)
	}
	require.Equal(t, map[string]string{"x": "1"}, laptop.files())
	require.NoFileExists(t, filepath.Join(laptop.folder, "deep"))
	laptop.does("sync")
}
