package step_test

import (
	"bytes"
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// slow is a release whose files take a while for each read.
type slow struct {
	fs.FS
	pause time.Duration
	reads *int
}

func (s slow) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return slowFile{f, s}, err
}

type slowFile struct {
	fs.File
	slow
}

func (f slowFile) ReadDir(n int) ([]fs.DirEntry, error) { return f.File.(fs.ReadDirFile).ReadDir(n) }

func (f slowFile) Read(p []byte) (int, error) {
	*f.reads++
	time.Sleep(f.pause)
	return f.File.Read(p[:min(len(p), 100)])
}

func TestPublishFilesTakesItsTimeForOneLargeFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := fstest.MapFS{"film": {Data: bytes.Repeat([]byte("x"), 1000)}}
		src := func(update.Release) (fs.FS, error) { return slow{large, time.Minute, new(int)}, nil }
		dir := filepath.Join(t.TempDir(), "site")
		start := time.Now()
		run, err := install(t.Context(), newUpdater(t, step.PublishFiles(step.Publish{Files: src, Dir: dir})), "1.0.0")
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
		require.Greater(t, time.Since(start), 9*time.Minute)
		require.Len(t, tree(t, dir)["film"], 1000)
	})
}

func TestPublishFilesStopsInTheMiddleOfAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := fstest.MapFS{"film": {Data: bytes.Repeat([]byte("x"), 10_000)}}
		reads := 0
		src := func(update.Release) (fs.FS, error) { return slow{large, time.Second, &reads}, nil }
		dir := filepath.Join(t.TempDir(), "site")
		u := newUpdater(t, step.PublishFiles(step.Publish{Files: src, Dir: dir}))
		run, err := u.Start(t.Context(), update.Request{Package: "demo/site", Version: "1.0.0"})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.NoError(t, u.Cancel(t.Context(), run.ID, update.By{}))
		run, err = u.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.Equal(t, update.StateCancelled, run.State)
		require.Less(t, reads, 20)
		require.NoDirExists(t, dir)
	})
}

func TestAStatementIsGivenTimeByTheSizeOfItsFile(t *testing.T) {
	tests := []struct {
		name  string
		size  int64
		takes time.Duration
		err   error
	}{
		{"a small file takes a moment", 1, 10 * time.Second, nil},
		{"a large one may take long", 1 << 30, 30 * time.Minute, nil},
		{"a small one may not", 1, 30 * time.Minute, update.ErrStalled},
		{"a large one not for ever", 1 << 30, 100 * time.Hour, update.ErrStalled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				u := newUpdater(t, update.Step{Name: "check", Do: func(ctx context.Context, tk *update.Task) error {
					defer step.Vouch(tk, "checking", tt.size)()
					select {
					case <-ctx.Done():
						cause = context.Cause(ctx)
						return ctx.Err()
					case <-time.After(tt.takes):
						return nil
					}
				}})
				_, err := install(t.Context(), u, "1.0.0")
				require.Equal(t, tt.err == nil, err == nil, err)
				require.ErrorIs(t, cause, tt.err)
			})
		})
	}
}
