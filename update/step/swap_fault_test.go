package step_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update/step"
)

// linkless is a disk without hard links.
type linkless struct{ durable.Disk }

func (linkless) Link(string, string) error { return errors.ErrUnsupported }

func TestSwapBinaryCopiesTheOldProgramWhereThereAreNoLinks(t *testing.T) {
	in := newInstalled(t)
	s, tk := step.SwapOn(linkless{durable.OS}, false, in.binary()), in.task(t, "one", app("1.1.0"))
	require.NoError(t, s.Do(t.Context(), tk))
	require.Equal(t, app("1.1.0"), in.content(t))
	require.NoError(t, s.Undo(t.Context(), tk))
	require.Equal(t, app("1.0.0"), in.content(t))
	info, err := os.Stat(in.path)
	require.NoError(t, err)
	require.Equal(t, in.file.Mode(), info.Mode())
}

// failing is a disk whose n-th call fails, from 1, without an effect.
type failing struct {
	durable.Disk
	left *int
}

func newFailing(d durable.Disk, n int) failing { return failing{d, &n} }

var errNoSpace = errors.New("no space left on device")

func (d failing) call() error {
	if *d.left--; *d.left == 0 {
		return errNoSpace
	}
	return nil
}

func (d failing) Create(path string) (durable.File, error) {
	if err := d.call(); err != nil {
		return nil, err
	}
	f, err := d.Disk.Create(path)
	return failingFile{f, d}, err
}

func (d failing) Mkdir(path string) error { return errors.Join(d.call(), d.Disk.Mkdir(path)) }

func (d failing) Link(path, name string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Disk.Link(path, name)
}

func (d failing) Rename(path, name string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Disk.Rename(path, name)
}

func (d failing) SyncDir(dir string) error {
	if err := d.call(); err != nil {
		return err
	}
	return d.Disk.SyncDir(dir)
}

type failingFile struct {
	durable.File
	disk failing
}

func (f failingFile) Write(p []byte) (int, error) {
	if err := f.disk.call(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f failingFile) Sync() error {
	if err := f.disk.call(); err != nil {
		return err
	}
	return f.File.Sync()
}

func TestSwapBinaryThatFailsAnywhereIsTakenBack(t *testing.T) {
	t.Parallel()
	eachGap(t, func(t *testing.T, gap bool) {
		for n := 1; ; n++ {
			in := newInstalled(t)
			disk := newFailing(durable.OS, n)
			tk := in.task(t, "one", app("1.1.0"))
			err := step.SwapOn(disk, gap, in.binary()).Do(t.Context(), tk)
			if *disk.left > 0 { // n calls were too many
				require.NoError(t, err)
				require.Greater(t, n, 12)
				return
			}
			require.Contains(t, []string{app("1.0.0"), app("1.1.0")}, in.content(t))
			if err != nil { // else it was the removal of what is not needed any more, or there is another way
				require.ErrorIs(t, err, errNoSpace)
			}
			s := step.SwapOn(durable.OS, gap, in.binary())
			require.NoError(t, s.Undo(t.Context(), tk))
			require.Equal(t, app("1.0.0"), in.content(t))
			info, err := os.Stat(in.path)
			require.NoError(t, err)
			require.Equal(t, in.file.Mode(), info.Mode())
			require.NotContains(t, in.beside(t), "new-one")
		}
	})
}

func TestSwapBinaryThatFailsAnywhereMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	eachGap(t, func(t *testing.T, gap bool) {
		for n := 1; ; n++ {
			in := newInstalled(t)
			disk := newFailing(durable.OS, n)
			tk := in.task(t, "one", app("1.1.0"))
			_ = step.SwapOn(disk, gap, in.binary()).Do(t.Context(), tk)
			if *disk.left > 0 {
				return
			}
			s := step.SwapOn(durable.OS, gap, in.binary())
			require.NoError(t, s.Do(t.Context(), tk))
			require.Equal(t, app("1.1.0"), in.content(t))
			require.NoError(t, s.Undo(t.Context(), tk))
			require.Equal(t, app("1.0.0"), in.content(t))
		}
	})
}
