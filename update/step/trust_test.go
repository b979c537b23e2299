//go:build unix

package step_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestAFolderBesideTheProgramThatSomebodyElseCouldHaveMadeIsNotFollowed(t *testing.T) {
	const stranger = 65534
	tests := []struct {
		name   string
		change func(t *testing.T, folder string)
	}{
		{"it is somebody else's", func(t *testing.T, folder string) {
			needstest.Tool(t, "root, to give a folder away", os.Geteuid() == 0)
			require.NoError(t, os.Chown(folder, stranger, stranger))
		}},
		{"others may write in it", func(t *testing.T, folder string) {
			require.NoError(t, os.Chmod(folder, 0o777))
		}},
		{"it is a link", func(t *testing.T, folder string) {
			require.NoError(t, os.Rename(folder, folder+".real"))
			require.NoError(t, os.Symlink(folder+".real", folder))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, _, _ := onTrial(t, false)
			for range 3 {
				_, _, err := in.start(durable.OS, false)
				require.NoError(t, err)
			}
			tt.change(t, filepath.Join(filepath.Dir(in.path), ".app.upkeep"))
			_, became, err := in.start(durable.OS, false)
			require.ErrorContains(t, err, "is not a folder of this user")
			require.False(t, became)
			require.Equal(t, app("1.1.0"), in.content(t))
			_, err = step.LaunchOn(t.Context(), false, in.path)
			require.ErrorContains(t, err, "is not a folder of this user")
		})
	}
}

func TestDownloadRefusesAFolderOfSomebodyElse(t *testing.T) {
	needstest.Tool(t, "root, to give a folder away", os.Geteuid() == 0)
	dir := filepath.Join(t.TempDir(), "downloads")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chown(dir, 65534, 65534))
	s := step.Download(step.Artifact{Dir: dir, Client: fetchtest.Serve(t, fetchtest.Offer([]byte("content"), ""))})
	tk := releaseTask(releaseOf([]byte("content")))
	require.ErrorContains(t, s.Check(t.Context(), tk), "can be written by others")
	require.ErrorContains(t, s.Do(t.Context(), tk), "can be written by others")
}

// refusing is a disk whose renames to a name that ends so fail while it is set.
type refusing struct {
	durable.Disk
	ending string
}

func (d *refusing) Rename(path, name string) error {
	if d.ending != "" && strings.HasSuffix(name, d.ending) {
		return errors.New("the disk is full")
	}
	return d.Disk.Rename(path, name)
}

func TestAConfirmThatFailsMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		disk := &refusing{Disk: durable.OS}
		p, _, err := in.start(disk, false)
		require.NoError(t, err)
		disk.ending = "trial.json"
		for range 2 {
			require.ErrorContains(t, p.Confirm(), "the disk is full")
			_, yes := p.OnTrial()
			require.True(t, yes)
		}
		disk.ending = ""
		require.NoError(t, p.Confirm())
		time.Sleep(time.Hour)
		for range 5 {
			p, became, err := in.start(durable.OS, false)
			require.NoError(t, err)
			require.False(t, became)
			_, yes := p.OnTrial()
			require.False(t, yes)
		}
		require.Equal(t, app("1.1.0"), in.content(t))
	})
}

func TestASwapThatIsTriedAgainKeepsTheProgramBeforeTheOldOne(t *testing.T) {
	in, first, tk := onTrial(t, false)
	p, _, err := in.start(durable.OS, false)
	require.NoError(t, err)
	require.NoError(t, p.Confirm())

	disk := &refusing{Disk: durable.OS, ending: "app"}
	s, again := step.SwapOn(disk, false, in.binary()), in.task(t, "two", app("1.2.0"))
	require.ErrorContains(t, s.Do(t.Context(), again), "the disk is full")
	disk.ending = ""
	require.NoError(t, s.Do(t.Context(), again))
	require.Equal(t, app("1.2.0"), in.content(t))
	require.NoError(t, s.Undo(t.Context(), again))
	require.NoError(t, first.Undo(t.Context(), tk))
	require.Equal(t, app("1.0.0"), in.content(t))
}
