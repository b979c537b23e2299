package sync_test

import (
	"context"
	"io/fs"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// shut are Files of which one folder cannot be read, while it is.
type shut struct {
	cloudsync.Files
	is *bool
}

func (s shut) List(ctx context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	if *s.is && folder == "d" {
		return func(yield func(cloudsync.File, error) bool) {
			yield(cloudsync.File{}, &fs.PathError{Op: "open", Path: folder, Err: fs.ErrPermission})
		}
	}
	return s.Files.List(ctx, folder)
}

func TestAFolderThatCannotBeReadIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, is := memory.New().Remote("notes"), false
		a := newDesk(t, "laptop", cloud, func(c *cloudsync.Config) { c.Files = shut{c.Files, &is} })
		b := newDesk(t, "phone", cloud, nil)
		a.disk.write("d/deep", "kept")
		a.disk.write("n", "1")
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		is = true
		b.disk.write("d/new", "from the phone")
		b.disk.write("m", "too")
		b.sync(cloudsync.Request{})
		a.sync(cloudsync.Request{})
		status, err := a.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, "d", status.Problems[0].Path)
		require.Contains(t, a.disk.String(), "m=too")
		require.NoError(t, lastOf(a.Conflicts(t.Context())))
		is = false
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		require.Contains(t, b.disk.String(), "d/deep=kept")
		require.Equal(t, a.disk.String(), b.disk.String())
	})
}
