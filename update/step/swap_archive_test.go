package step_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// entry is a file in an archive.
type entry struct {
	name, content string
	link          bool // a symbolic link to content
	folder        bool
}

func tarball(t *testing.T, entries ...entry) string {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	require.NoError(t, err)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o777, Typeflag: tar.TypeReg, Size: int64(len(e.content))}
		if e.link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.content, 0
		}
		if e.folder {
			h.Typeflag = tar.TypeDir
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := io.WriteString(w, e.content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return out.String()
}

func zipped(t *testing.T, entries ...entry) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o777)
		if e.link {
			h.SetMode(0o777 | os.ModeSymlink)
		}
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		if !e.folder {
			_, err = io.WriteString(f, e.content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return out.String()
}

func TestSwapBinaryUnpacksAProgram(t *testing.T) {
	t.Parallel()
	program := app("1.1.0")
	readme := entry{name: "README", content: "read me"}
	tests := []struct {
		name, member, message string // message: "" when it works
		entries               []entry
	}{
		{"alone", "app", "", []entry{{name: "app", content: program}}},
		{"among others", "app_1.1.0/bin/app", "", []entry{readme, {name: "app_1.1.0/bin/app", content: program}, {name: "bin/app", content: "x"}}},
		{"under a name with a dot", "bin/app", "", []entry{readme, {name: "./bin/app", content: program}}},
		{"found by its version", "app_{version}", "", []entry{{name: "app_1.1.0", content: program}, {name: "app_1.2.0", content: "x"}}},
		{"missing", "app", "not in the archive", []entry{readme, {name: "bin/app", content: program}}},
		{"missing in an empty archive", "app", "", nil},
		{"twice", "app", "twice", []entry{{name: "app", content: program}, {name: "./app", content: program}}},
		{"a link", "app", "not a regular file", []entry{{name: "app", content: "/bin/sh", link: true}}},
		{"a folder", "app", "not a regular file", []entry{{name: "app/", folder: true}}},
		{"above the folder", "app", "not in the archive", []entry{{name: "../app", content: program}}},
		{"at the root", "app", "not in the archive", []entry{{name: "/app", content: program}}},
		{"too large", "app", "more than 1000 bytes", []entry{{name: "app", content: strings.Repeat("x", 1001)}}},
		{"too small to be anything", "app", "EOF", nil},
	}
	for kind, pack := range map[string]func(*testing.T, ...entry) string{"tar.gz": tarball, "zip": zipped} {
		for _, tt := range tests {
			t.Run(kind+", "+tt.name, func(t *testing.T) {
				in := newInstalled(t)
				b := in.binary()
				b.Member, b.MaxSize = tt.member, 1000
				if kind == "tar.gz" {
					b.MaxSize = 10_000 // the archive's own blocks count
				}
				content := pack(t, tt.entries...)
				switch {
				case tt.message == "EOF":
					content = "x"
				case tt.entries == nil:
					tt.message = map[string]string{"tar.gz": "not in the archive", "zip": "neither a tar.gz nor a zip"}[kind]
				case strings.Contains(tt.message, "1000 bytes") && kind == "tar.gz":
					content = pack(t, entry{name: "app", content: strings.Repeat("x", 10_001)})
					tt.message = "more than 10000 bytes"
				}
				s, tk := step.SwapBinary(b), in.task(t, "one", content)
				require.NoError(t, s.Check(t.Context(), tk))
				err := s.Do(t.Context(), tk)
				if tt.message != "" {
					require.ErrorContains(t, err, tt.message)
					require.NoError(t, s.Undo(t.Context(), tk))
					require.Equal(t, app("1.0.0"), in.content(t))
					require.Equal(t, []string{"lock"}, in.beside(t))
					return
				}
				require.NoError(t, err)
				require.Equal(t, program, in.content(t))
				info, err := os.Stat(in.path)
				require.NoError(t, err)
				require.Equal(t, in.file.Mode(), info.Mode(), "the mode of the old program, not the archive's")
			})
		}
	}
}

func TestSwapBinaryDoesNotUnpackForEver(t *testing.T) {
	bomb := entry{name: "before", content: strings.Repeat("\x00", 8<<20)}
	in := newInstalled(t)
	b := in.binary()
	b.Member, b.MaxSize = "app", 1<<20
	s, tk := step.SwapBinary(b), in.task(t, "one", tarball(t, bomb, entry{name: "app", content: app("1.1.0")}))
	require.ErrorContains(t, s.Do(t.Context(), tk), "the archive has more than 1048576 bytes")
	require.Equal(t, app("1.0.0"), in.content(t))
}

func TestSwapBinaryRefusesADamagedArchive(t *testing.T) {
	for kind, content := range map[string]string{
		"tar.gz": tarball(t, entry{name: "app", content: string(noise(10_000))}),
		"zip":    zipped(t, entry{name: "app", content: string(noise(10_000))}),
	} {
		t.Run(kind, func(t *testing.T) {
			damaged := []byte(content)
			damaged[len(damaged)/2] ^= 1 // the publisher signed it like that
			in := newInstalled(t)
			b := in.binary()
			b.Member = "app"
			s, tk := step.SwapBinary(b), in.task(t, "one", string(damaged))
			require.Error(t, s.Do(t.Context(), tk))
			require.NoError(t, s.Undo(t.Context(), tk))
			require.Equal(t, app("1.0.0"), in.content(t))
		})
	}
}

func TestSwapBinaryNeedsLittleMemory(t *testing.T) {
	program := strings.Repeat(string(noise(64<<10)), 64)
	for kind, content := range map[string]string{
		"as it is": program, "tar.gz": tarball(t, entry{name: "app", content: program}), "zip": zipped(t, entry{name: "app", content: program}),
	} {
		t.Run(kind, func(t *testing.T) {
			in := newInstalled(t)
			b := in.binary()
			if kind != "as it is" {
				b.Member = "app"
			}
			s, tk := step.SwapBinary(b), in.task(t, "one", content)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.NoError(t, s.Do(t.Context(), tk))
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), "all that was ever allocated")
			require.True(t, in.content(t) == program)
		})
	}
}

func TestSwapBinaryStopsInTheMiddle(t *testing.T) {
	in := newInstalled(t)
	tk := in.task(t, "one", strings.Repeat("x", 1<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	require.ErrorIs(t, step.SwapBinary(in.binary()).Do(ctx, tk), context.DeadlineExceeded)
	require.Equal(t, app("1.0.0"), in.content(t))
}

func TestSwapBinaryTriesTheNewProgramFirst(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no scripts")
	}
	tests := []struct{ name, script, message string }{
		{"one that starts", "#!/bin/sh\n[ \"$1 $2\" = \"-check 1.1.0\" ] && echo well", ""},
		{"one that does not", "#!/bin/sh\necho no such library; exit 3", "does not run: exit status 3\nno such library"},
		{"one that is not for this machine", "\x7fELF nonsense", "does not run"},
		{"one whose interpreter is missing", "#!/nowhere/sh\n", "does not run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := newInstalled(t)
			b := in.binary()
			b.Try = []string{"-check", "1.1.0"}
			s, tk := step.SwapBinary(b), in.task(t, "one", tt.script)
			err := s.Do(t.Context(), tk)
			if tt.message == "" {
				require.NoError(t, err)
				require.Equal(t, tt.script, in.content(t))
				return
			}
			require.ErrorContains(t, err, tt.message)
			require.Equal(t, app("1.0.0"), in.content(t))
			require.NoError(t, s.Undo(t.Context(), tk))
		})
	}
}

func TestSwapBinaryDoesNotWaitForAProgramThatHangs(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no scripts")
	}
	in := newInstalled(t)
	b := in.binary()
	b.Try = []string{"x"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := step.SwapBinary(b).Do(ctx, in.task(t, "one", "#!/bin/sh\nexec sleep 60\n"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, app("1.0.0"), in.content(t))
}

func TestSwapBinaryTakesADownloadFromAnotherFileSystem(t *testing.T) {
	elsewhere := "/dev/shm"
	if os.TempDir() == elsewhere {
		elsewhere = "/tmp"
	}
	other, err := os.MkdirTemp(elsewhere, "upkeep-test-")
	needstest.Tool(t, "another file system in "+elsewhere, err == nil)
	defer os.RemoveAll(other)
	in := newInstalled(t)
	in.artifact.Dir = other
	tk := in.task(t, "one", app("1.1.0"))
	moved := os.Rename(in.artifact.File(tk), filepath.Join(filepath.Dir(in.path), "probe"))
	needstest.Tool(t, "another file system in "+elsewhere, moved != nil)
	s := step.SwapBinary(in.binary())
	require.NoError(t, s.Do(t.Context(), tk))
	require.Equal(t, app("1.1.0"), in.content(t))
	require.Empty(t, downloads(t, other))
}

func TestAnUpdateDownloadsUnpacksAndSwaps(t *testing.T) {
	in := newInstalled(t)
	content := tarball(t, entry{name: "app", content: app("1.1.0")})
	in.artifact.Client = fetchtest.Serve(t, fetchtest.Offer([]byte(content), `"v1"`))
	b := in.binary()
	b.Member = "app"
	good := true
	health := update.Step{Name: "health", Do: func(context.Context, *update.Task) error {
		if !good {
			return io.ErrNoProgress
		}
		return nil
	}}
	_, err := updateRelease(t, releaseOf([]byte(content)), step.Download(in.artifact), step.SwapBinary(b), health)
	require.NoError(t, err)
	require.Equal(t, app("1.1.0"), in.content(t))

	good = false
	in.replaceByHand(t, app("1.0.0"))
	_, err = updateRelease(t, releaseOf([]byte(content)), step.Download(in.artifact), step.SwapBinary(b), health)
	require.ErrorIs(t, err, update.ErrFailed)
	require.NotContains(t, err.Error(), "undo")
	require.Equal(t, app("1.0.0"), in.content(t))
	require.Empty(t, downloads(t, in.artifact.Dir))
}
