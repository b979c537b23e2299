//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// corpus is a folder of notes, and of a few large files as of media. The same seed
// makes the same.
type corpus struct {
	dir          string
	notes, large int
	largeSize    int
	seed         uint64
}

// words are of the language of all notes, those that are frequent as often.
var words = sync.OnceValue(func() []string {
	random := rand.New(rand.NewPCG(1, 1))
	all, known := make([]string, 1<<16), make([]string, 4000)
	for i := range known {
		word := make([]byte, 2+random.IntN(9))
		for i := range word {
			word[i] = "etaoinshrdlucmfwypvbgkqjxz"[int(26*math.Pow(random.Float64(), 1.7))]
		}
		known[i] = string(word)
	}
	frequent := rand.NewZipf(random, 1.01, 12, uint64(len(known)-1))
	for i := range all {
		all[i] = known[frequent.Uint64()]
	}
	return all
})

// prose is what notes are of. Zstandard makes less than half of it.
type prose struct{ random *rand.Rand }

func newProse(seed, of uint64) prose { return prose{rand.New(rand.NewPCG(seed, of))} }

func (p prose) word() string {
	all := words()
	return all[p.random.IntN(len(all))]
}

func (p prose) sentence(least, more int) string {
	var s bytes.Buffer
	for range least + p.random.IntN(more) {
		s.WriteString(p.word())
		s.WriteByte(' ')
	}
	return s.String()
}

// markdown is a note of so many bytes.
func (p prose) markdown(size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		switch p.random.IntN(12) {
		case 0:
			fmt.Fprintf(&b, "\n\n## %s%d\n\n", p.sentence(2, 1), p.random.IntN(1e6))
		case 1:
			fmt.Fprintf(&b, "\n- [ ] [%s](%d.md) ", p.word(), p.random.IntN(20_000))
		default:
			b.WriteString(p.sentence(10, 5))
		}
	}
	return b.Bytes()[:size]
}

// blocks is a note of a program that keeps paragraphs under random names.
func (p prose) blocks(size int) []byte {
	var b bytes.Buffer
	b.WriteString("[")
	for b.Len() < size {
		fmt.Fprintf(&b, "{\"id\":\"2026%010d-%07x\",\"type\":\"paragraph\",\"text\":%q,\"updated\":%d},\n",
			p.random.Int64N(1e10), p.random.IntN(1<<28), p.sentence(10, 20), 20_260_000_000_000+p.random.Int64N(1e10))
	}
	return b.Bytes()[:size]
}

// note has from 1 to 20 KiB, most of them few.
func (p prose) note(i int) []byte {
	size := 1<<10 + int(19<<10*math.Pow(p.random.Float64(), 1.9))
	if i%2 == 1 {
		return p.blocks(size)
	}
	return p.markdown(size)
}

func notePath(i int) string {
	return fmt.Sprintf("%02d/%02d/%d/%05d.%s", i%10, i/10%20, i/200%5, i, []string{"md", "json"}[i%2])
}

// write makes the folder. Its files are old: what has just been written is read
// again by who looks for changes.
func (c corpus) write(t testing.TB) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range c.notes {
		path := filepath.Join(c.dir, notePath(i))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, newProse(c.seed, uint64(i)).note(i), 0o644))
		at = at.Add(time.Second)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	for i := range c.large {
		path := c.largePath(i)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		f, err := os.Create(path)
		require.NoError(t, err)
		p, noise := newProse(c.seed, 1<<32+uint64(i)), rand.NewChaCha8([32]byte{byte(c.seed), byte(i)})
		for left := c.largeSize; left > 0; {
			part := make([]byte, min(256<<10, left))
			if left -= len(part); p.random.IntN(2) == 0 {
				_, _ = noise.Read(part)
			} else {
				part = p.markdown(len(part))
			}
			_, err := f.Write(part)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
		require.NoError(t, os.Chtimes(path, at, at))
	}
}

func (c corpus) largePath(i int) string {
	return filepath.Join(c.dir, "media", fmt.Sprintf("%d.bin", i))
}

// change does to one note in a hundred what people do: of a hundred of those, 75
// are edited, 10 come, 10 go and 5 get another name. A large file grows in its
// middle.
func (c corpus) change(t testing.TB, seed uint64) {
	t.Helper()
	p := newProse(seed, 1<<40)
	var all []string
	require.NoError(t, filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == "media" || d.Name() == cloudsync.Staging) {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			all = append(all, path)
		}
		return err
	}))
	for n, i := range p.random.Perm(len(all))[:max(1, len(all)/100)] {
		path := all[i]
		switch n %= 20; {
		case n < 15:
			insert(t, path, p.random.Float64(), p.sentence(3, 3))
		case n < 17:
			require.NoError(t, os.WriteFile(fmt.Sprintf("%s.%d.md", path, seed), p.note(0), 0o644))
		case n < 19:
			require.NoError(t, os.Remove(path))
		default:
			require.NoError(t, os.Rename(path, fmt.Sprintf("%s.%d", path, seed)))
		}
	}
	insert(t, c.largePath(0), 0.33, p.sentence(20, 1))
}

// insert puts text into a file, at a share of its length.
func insert(t testing.TB, path string, at float64, text string) {
	t.Helper()
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	n := int(at * float64(len(old)))
	require.NoError(t, os.WriteFile(path, append(old[:n:n], append([]byte(text), old[n:]...)...), 0o644))
}

// digest is that of the names and contents below dir.
func digest(t testing.TB, dir string) string {
	t.Helper()
	sum := sha256.New()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && d.Name() == cloudsync.Staging {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%q %x\n", path[len(dir):], sha256.Sum256(content))
		return err
	}))
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestTheCorpusOfASeedIsTheSameEachTime(t *testing.T) {
	made := func(seed, change uint64) string {
		c := corpus{dir: t.TempDir(), notes: 120, large: 1, largeSize: 300 << 10, seed: seed}
		c.write(t)
		if change > 0 {
			c.change(t, change)
		}
		return digest(t, c.dir)
	}
	require.Equal(t, made(1, 0), made(1, 0))
	require.NotEqual(t, made(1, 0), made(2, 0))
	require.Equal(t, made(1, 2), made(1, 2))
	require.NotEqual(t, made(1, 2), made(1, 3))
	require.NotEqual(t, made(1, 0), made(1, 2))
}
