//go:build unix

package main

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/dir"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
	"github.com/upkeep-go/upkeep/sync/vault"
)

// far is a remote to which each call takes 50 ms.
type far struct{ cloudsync.Remote }

func away() { time.Sleep(50 * time.Millisecond) }

func (f far) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	away()
	return f.Remote.PutIfAbsent(ctx, name, body)
}

func (f far) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	away()
	return f.Remote.Get(ctx, name, off, n)
}

func (f far) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	away()
	return f.Remote.List(ctx, prefix, after)
}

// counted is a device that counts what it asks of the remote.
type counted struct {
	*cloudsync.Folder
	*syncertest.Counter
}

func newCounted(b *testing.B, folder, cloud, device string) counted {
	b.Helper()
	require.NoError(b, os.MkdirAll(folder, 0o700))
	remote, err := dir.Open(dir.Config{Path: cloud})
	require.NoError(b, err)
	files := cloudsync.Dir(folder)
	c := syncertest.Counted(far{remote})
	f, err := cloudsync.New(cloudsync.Config{
		Name: "folder", Device: device, Files: files, Store: memory.New(), Remote: c,
		Vault: vault.New(passphrase), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, f.Close())
		require.NoError(b, files.Close())
		require.NoError(b, remote.Close())
	})
	return counted{f, c}
}

// synced syncs, and returns what that asked of the remote.
func (c counted) synced(b *testing.B) syncertest.Counts {
	b.Helper()
	c.Reset()
	_, err := c.Sync(b.Context(), cloudsync.Request{})
	require.NoError(b, err)
	return c.Counts()
}

// BenchmarkRequests counts what a sync asks of a remote that is 50 ms away, all in
// all and one after the other, which is what is waited for: trips.
func BenchmarkRequests(b *testing.B) {
	for b.Loop() {
		root := b.TempDir()
		c := benchmarkCorpus(filepath.Join(root, "laptop"))
		c.write(b)
		cloud := filepath.Join(root, "cloud")
		laptop := newCounted(b, c.dir, cloud, "laptop")
		phone := newCounted(b, filepath.Join(root, "phone"), cloud, "phone")

		first := laptop.synced(b)
		b.ReportMetric(float64(first.Puts), "upload-puts") // at most one for 12 MiB, and 5
		b.ReportMetric(float64(first.Puts)/(float64(first.Sent)/(12<<20)+5), "upload-puts-of-bound")
		b.ReportMetric(float64(first.Trips), "upload-trips")

		none := laptop.synced(b)
		require.Zero(b, none.Puts+none.Gets)
		b.ReportMetric(float64(none.Lists), "no-change-lists")
		b.ReportMetric(float64(none.Trips), "no-change-trips")

		pull := phone.synced(b)
		b.ReportMetric(float64(pull.Gets), "pull-gets")
		b.ReportMetric(float64(pull.Trips), "pull-trips")
		b.ReportMetric(float64(pull.Received)/float64(first.Sent), "pull-bytes-of-stored")

		c.change(b, 2)
		changed := laptop.synced(b)
		b.ReportMetric(float64(changed.Puts), "changed-puts")
		b.ReportMetric(float64(changed.Trips), "changed-trips")

		pull = phone.synced(b)
		b.ReportMetric(float64(pull.Trips), "pull-changed-trips")
		b.ReportMetric(float64(pull.Received)/float64(changed.Sent), "pull-changed-bytes-of-sent")
		require.Equal(b, digest(b, c.dir), digest(b, filepath.Join(root, "phone")))
	}
}

// BenchmarkHistory counts what a list of 1,000 commits, or of 200, asks of a remote.
func BenchmarkHistory(b *testing.B) {
	commits := 200
	if full() {
		commits = 1000
	}
	for b.Loop() {
		c := syncertest.Counted(memory.New().Remote("cloud"))
		db := memory.New()
		files := db.Files("notes")
		f, err := cloudsync.New(cloudsync.Config{
			Name: "folder", Files: files, Store: db, Remote: c, Vault: vault.New(passphrase), Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(b, err)
		for i := range commits {
			files.Person().Write("diary.md", time.Unix(int64(i), 0).String())
			_, err := f.Sync(b.Context(), cloudsync.Request{})
			require.NoError(b, err)
		}
		c.Reset()
		n := 0
		for _, err := range f.Commits(b.Context(), cloudsync.CommitQuery{}) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, commits, n)
		b.ReportMetric(float64(c.Counts().Trips), "trips")
		require.NoError(b, f.Close())
	}
}
