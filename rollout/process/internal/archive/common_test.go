package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
)

// put adds an entry to an archive.
type put func(t testing.TB, w *tar.Writer)

// tarred is an archive.
func tarred(t testing.TB, entries ...put) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e(t, w)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// raw adds a header and content.
func raw(h tar.Header, content string) put {
	return func(t testing.TB, w *tar.Writer) {
		h.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
}

func file(name, content string) put {
	return raw(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640}, content)
}

func program(name, content string) put {
	return raw(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o4711}, content)
}

func folder(name string) put {
	return raw(tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o1700}, "")
}

func symlink(name, to string) put {
	return raw(tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}, "")
}

func hardLink(name, to string) put {
	return raw(tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}, "")
}

func special(name string, kind byte) put {
	return raw(tar.Header{Name: name, Typeflag: kind, Mode: 0o644}, "")
}

func gzipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	return w.EncodeAll(data, nil)
}

// shelfOf is a Shelf in a folder of its own.
func shelfOf(t testing.TB, c archive.Config) (*archive.Shelf, string) {
	t.Helper()
	dir := t.TempDir()
	return shelfIn(t, dir, c), dir
}

func shelfIn(t testing.TB, dir string, c archive.Config) *archive.Shelf {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	return archive.New(root, c)
}

const place = "https://user:password@dl.test/app.tar?token=secret"

func archiveOf(data []byte) rollout.Archive {
	sum := sha256.Sum256(data)
	return rollout.Archive{URL: place, Digest: sum[:]}
}

// offer is a Client of a server that has data.
func offer(t testing.TB, data []byte) *http.Client {
	return fetchtest.Serve(t, fetchtest.Offer(data, `"v1"`))
}

// names are what is in a folder, but for the lock.
func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "lock" {
			all = append(all, e.Name())
		}
	}
	return all
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(data)
}
