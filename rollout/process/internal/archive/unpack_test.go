package archive_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
)

func TestAnArchiveIsUnpackedWhole(t *testing.T) {
	plain := tarred(t,
		raw(tar.Header{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, ""),
		folder("./"), program("./bin/app", "#!"), folder("./bin"), file("etc/a/b.conf", "b"), file("etc/empty", ""),
		symlink("etc/current", "a/b.conf"), symlink("bin/etc", "../etc"), symlink("later", "./none"), symlink("self", "."),
		hardLink("copy", "./etc/a/b.conf"), hardLink("copy2", "copy"), file(strings.Repeat("n", 255), "long"),
	)
	for name, data := range map[string][]byte{"tar": plain, "gzip": gzipped(t, plain), "zstd": zstded(t, plain)} {
		t.Run(name, func(t *testing.T) {
			s, root := shelfOf(t, archive.Config{Client: offer(t, data)})
			for range 2 {
				dir, err := s.Get(t.Context(), archiveOf(data))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("%x", archiveOf(data).Digest), dir)
				require.Equal(t, []string{dir}, names(t, root))
				dir = filepath.Join(root, dir)
				require.Equal(t, "b", read(t, dir, "bin/etc/current"))
				require.Equal(t, "b", read(t, dir, "copy2"))
				if runtime.GOOS != "windows" {
					checkModes(t, dir)
				}
			}
		})
	}
}

func checkModes(t *testing.T, dir string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		want := fs.FileMode(0o644)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			return nil
		case info.IsDir():
			want = fs.ModeDir | 0o755
		case e.Name() == "app":
			want = 0o755
		}
		require.Equal(t, want, info.Mode(), path)
		return nil
	}))
}

// trick is an archive, and why it is refused.
type trick struct {
	name    string
	data    []byte
	message string
}

var limits = archive.Config{MaxSize: 1 << 20, MaxUnpacked: 2 << 20, MaxFiles: 20}

func many(n int, name string) (all []put) {
	for i := range n {
		all = append(all, file(fmt.Sprintf(name, i), "x"))
	}
	return all
}

// tooMany are more entries than the limits allow.
func tooMany(t *testing.T) []byte { return tarred(t, many(21, "f%d")...) }

// sparse is an entry with a hole, in the way of PAX: the writer makes none.
func sparse(t *testing.T) []byte {
	records := map[string]string{"UPK.sparse.major": "1", "UPK.sparse.minor": "0", "UPK.sparse.name": "hole", "UPK.sparse.realsize": "1000000"}
	data := tarred(t, raw(tar.Header{Name: "hole", Typeflag: tar.TypeReg, PAXRecords: records, Format: tar.FormatPAX}, "1\n0\n0\n"+strings.Repeat("\x00", 506)))
	return bytes.ReplaceAll(data, []byte("UPK."), []byte("GNU."))
}

func tricks(t *testing.T) []trick {
	good, x := tarred(t, file("x", "x")), file("x", "x")
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	bomb := tarred(t, file("zeros", strings.Repeat("\x00", 3<<20)))
	return []trick{
		{"an absolute path", tarred(t, x, file("/etc/passwd", "")), `"/etc/passwd" of the archive is not within`},
		{"a path upwards", tarred(t, file("../x", "")), `"../x" of the archive leads upwards`},
		{"a path up again", tarred(t, file("a/../x", "")), `"a/../x" of the archive leads upwards`},
		{"a folder upwards", tarred(t, x, folder("a/../../b")), "leads upwards"},
		{"no name", tarred(t, x, file("", "")), `"" of the archive is not within`},
		{"a long name", tarred(t, file("a/"+strings.Repeat("n", 256), "")), "has a name of 256 bytes, at most 255"},
		{"a long path", tarred(t, file(strings.Repeat("./", 2050)+"x", "")), "has a path of 4101 bytes, at most 4096"},
		{"a NUL in a name", bytes.ReplaceAll(tarred(t, file("a/"+strings.Repeat("é", 80), "")), []byte("é"), []byte("\x00\x00")), "damaged"},
		{"a link to the root", tarred(t, x, symlink("l", "/")), `"l" of the archive leads to "/"`},
		{"a link outside", tarred(t, x, symlink("a/l", "../../b")), `leads to "../../b"`},
		{"a link to nothing", tarred(t, x, symlink("a/l", "")), `leads to ""`},
		{"a link through a link", tarred(t, x, folder("top"), symlink("d/k", "../top"), symlink("d/e/t", "../k/../../out")), "down and up again"},
		{"a file through a link", tarred(t, folder("d"), symlink("l", "d"), file("l/x", "")), `is below "l", which is no folder`},
		{"a folder through a link", tarred(t, x, folder("d"), symlink("l", "d"), folder("l/x")), `is below "l", which is no folder`},
		{"a file in the place of a link", tarred(t, x, symlink("l", "y"), file("l", "")), "is there already"},
		{"a hard link outside", tarred(t, x, hardLink("l", "../x")), `hard link to "../x"`},
		{"a hard link to the root", tarred(t, x, hardLink("l", "/etc/passwd")), `hard link to "/etc/passwd"`},
		{"a hard link to what comes later", tarred(t, hardLink("l", "x"), x), `hard link to "x"`},
		{"a hard link to a link", tarred(t, x, symlink("s", "x"), hardLink("l", "s")), `hard link to "s"`},
		{"a hard link to a folder", tarred(t, x, folder("s"), hardLink("l", "s")), `hard link to "s"`},
		{"a hard link through a link", tarred(t, file("d/x", ""), symlink("s", "d"), hardLink("l", "s/x")), `hard link to "s/x"`},
		{"a device", tarred(t, x, special("d", tar.TypeChar)), `"d" of the archive is of type '3'`},
		{"a block device", tarred(t, x, special("d", tar.TypeBlock)), "is of type '4'"},
		{"a named pipe", tarred(t, x, special("p", tar.TypeFifo)), "is of type '6'"},
		{"a socket", tarred(t, x, special("p", 's')), "is of type 's'"},
		{"a sparse file", sparse(t), `"hole" of the archive is sparse`},
		{"a file in the place of a folder", tarred(t, x, folder("a"), file("a", "")), "is there already"},
		{"a folder in the place of a file", tarred(t, file("a", ""), folder("a")), "there is something else"},
		{"a file below a file", tarred(t, file("a", ""), file("a/b", "")), `is below "a"`},
		{"a file that is a folder", tarred(t, x, file("a/b", ""), file("a", "")), "is there already"},
		{"a link by the name of a folder", tarred(t, x, symlink("a/", "x")), "has the name of a folder"},
		{"the folder itself", tarred(t, x, symlink(".", "x")), "has the name of a folder"},
		{"a file twice", tarred(t, x, file("./x", "y")), `"./x" of the archive is there already`},
		{"a folder twice", tarred(t, x, folder("a"), folder("a")), "is there already"},
		{"too many entries", tooMany(t), "one too many: at most 20 files and folders"},
		{"too many folders", tarred(t, x, folder(strings.Repeat("d/", 30))), "one too many: at most 20"},
		{"a bomb", gzipped(t, bomb), "more than 2097152 bytes unpacked"},
		{"a bomb by zstd", zstded(t, bomb), "more than 2097152 bytes unpacked"},
		{"a bomb after the end", gzipped(t, append(bytes.Clone(good), make([]byte, 3<<20)...)), "more than 2097152 bytes unpacked"},
		{"more than is allowed", tarred(t, file("x", string(noise))), "at most 1048576 are allowed"},
		{"an archive that ends in a file", tarred(t, file("x", strings.Repeat("x", 2000)))[:600], `damaged, or none: "x": unexpected EOF`},
		{"an archive without an end", good[:1024], "is cut short"},
		{"an archive with half an end", good[:1024+512], "is cut short"},
		{"a file of zeros without an end", tarred(t, file("x", strings.Repeat("\x00", 4096)))[:512+4096], "is cut short"},
		{"a gzip that ends early", gzipped(t, good)[:60], "damaged"},
		{"a zstd that ends early", zstded(t, good)[:30], "damaged"},
		{"garbage after the end", append(bytes.Clone(good), "garbage"...), "something follows the end"},
		{"garbage after a gzip", append(gzipped(t, good), "garbage"...), "damaged"},
		{"garbage after a zstd", append(zstded(t, good), "garbage"...), "damaged"},
		{"nothing", nil, "is cut short"},
		{"no entries", make([]byte, 1024), "is empty"},
		{"folders alone", tarred(t, folder("a")), "is empty"},
		{"a page", []byte(strings.Repeat("<html>", 200)), "damaged, or none: archive/tar: invalid tar header"},
	}
}

func TestATrickIsRefusedAndLeavesNothing(t *testing.T) {
	for _, tt := range tricks(t) {
		t.Run(tt.name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "shelf")
			require.NoError(t, os.Mkdir(dir, 0o700))
			c := limits
			c.Client = offer(t, tt.data)
			_, err := shelfIn(t, dir, c).Get(t.Context(), archiveOf(tt.data))
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.ErrorContains(t, err, tt.message)
			require.NotContains(t, err.Error(), "on this disk", "found out before the disk does")
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "password")
			require.Empty(t, names(t, dir))
			require.Equal(t, []string{"shelf"}, names(t, above))
		})
	}
}

func TestWhatIsJustAllowedIsUnpacked(t *testing.T) {
	for name, entries := range map[string][]put{"files": many(20, "f%d"), "folders": {file(strings.Repeat("d/", 19)+"x", "")}} {
		t.Run(name, func(t *testing.T) {
			data := tarred(t, entries...)
			c := limits
			c.MaxSize, c.MaxUnpacked, c.Client = int64(len(data)), int64(len(data)), offer(t, data)
			s, _ := shelfOf(t, c)
			_, err := s.Get(t.Context(), archiveOf(data))
			require.NoError(t, err)
		})
	}
}

// TestANameThatIsTheSameToTheDiskIsADuplicate stands for a disk that ignores
// case: there is a file or folder that the archive has not made.
func TestANameThatIsTheSameToTheDiskIsADuplicate(t *testing.T) {
	for name, e := range map[string]put{
		"a file": file("x", ""), "a folder": folder("x"), "a folder around": file("x/y", ""), "a link": symlink("x", "y"),
		"a hard link": func(t testing.TB, w *tar.Writer) { file("y", "")(t, w); hardLink("x", "y")(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "x"), 0o700))
			root, err := os.OpenRoot(dir)
			require.NoError(t, err)
			defer root.Close()
			err = archive.Unpack(root, bytes.NewReader(tarred(t, e)), limits)
			require.ErrorIs(t, err, rollout.ErrInvalid)
			require.ErrorContains(t, err, "the same on this disk")
		})
	}
}

func FuzzUnpack(f *testing.F) {
	good := tarred(f, folder("a"), file("a/x", "x"), symlink("a/l", "../b"), hardLink("h", "a/x"), program("b/c", "y"))
	f.Add(good)
	f.Add(gzipped(f, good))
	f.Add(zstded(f, good))
	f.Add(tarred(f, symlink("l", "../.."), file("l/x", "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		above := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(above, "in"), 0o700))
		root, err := os.OpenRoot(filepath.Join(above, "in"))
		require.NoError(t, err)
		defer root.Close()
		err = archive.Unpack(root, bytes.NewReader(data), limits)
		require.Equal(t, []string{"in"}, names(t, above))
		if err != nil {
			return
		}
		require.NoError(t, fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
			require.NoError(t, err)
			require.Zero(t, e.Type()&^(fs.ModeDir|fs.ModeSymlink), path)
			if e.Type()&fs.ModeSymlink != 0 {
				_, err := root.Stat(path)
				require.False(t, err != nil && strings.Contains(err.Error(), "escapes"), "%s: %v", path, err)
			}
			return nil
		}))
	})
}
