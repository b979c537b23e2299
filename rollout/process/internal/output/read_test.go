package output_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

func TestTailGoesOverRotatedFiles(t *testing.T) {
	for _, ended := range []bool{false, true} {
		s := open(t, t.TempDir(), output.Config{Size: 1000, Files: 8})
		l := s.start("r-1")
		for i := 0; i < 500; i += 110 {
			write(t, l, lines(i, i+110))
			s.Tidy()
		}
		if write(t, l, lines(550, 560)); ended {
			require.NoError(t, l.Close())
			s = open(t, s.dir, output.Config{Size: 1000, Files: 8})
		}
		require.Greater(t, len(files(t, s.folder(l))), 2)
		require.Contains(t, printed(s.read(rollout.LogQuery{Tail: 250})), lines(400, 560))
		require.Equal(t, lines(553, 560), s.read(rollout.LogQuery{Tail: 7}))
		all := printed(s.read(rollout.LogQuery{}))
		require.True(t, strings.HasSuffix(all, lines(200, 560)), all)
	}
}

func TestAThousandLinesAreRead(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	l := s.start("r-1")
	write(t, l, lines(0, 3000))
	require.Equal(t, lines(2000, 3000), s.read(rollout.LogQuery{}))
	write(t, l, "no end")
	require.Equal(t, lines(2999, 3000)+"no end\n", s.read(rollout.LogQuery{Tail: 2}))
}

func TestReplicasHaveTheirShareOfTail(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	a, b, c, none := s.start("r-1"), s.start("r/2"), s.start("r-3"), s.start("r-4")
	defer none.Close()
	write(t, a, lines(0, 100))
	write(t, b, "of b\n")
	write(t, c, lines(0, 200))
	require.NoError(t, b.Close())
	got := s.read(rollout.LogQuery{Tail: 21})
	require.Contains(t, got, "r/2 | of b\n", "unescaped, and though it ended")
	for name, from := range map[string]int{"r-1": 90, "r-3": 190} {
		want := ""
		for line := range strings.Lines(lines(from, from+10)) {
			want += name + " | " + line
		}
		require.Contains(t, got, want, "with what b has no use for")
	}
	require.Equal(t, 21, strings.Count(got, "\n"))
	require.Equal(t, 3, strings.Count(s.read(rollout.LogQuery{Tail: 1}), "\n"), "a line at least")
}

func TestALongLineIsCut(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	l := s.start("r-1")
	write(t, l, "before\n"+strings.Repeat("x", 64<<10)+"\n"+strings.Repeat("y", 300<<10)+"z\nafter\n")
	got := strings.Split(s.read(rollout.LogQuery{}), "\n")
	require.Len(t, got, 5)
	require.Equal(t, []string{"before", "after", ""}, []string{got[0], got[3], got[4]})
	require.Equal(t, strings.Repeat("x", 64<<10), got[1])
	require.Equal(t, strings.Repeat("y", 64<<10), got[2])
	require.Equal(t, "after\n", s.read(rollout.LogQuery{Tail: 1}))
}

func TestLittleIsReadForTheLastLines(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789\n"), 800_000)
	r := &counted{ReaderAt: bytes.NewReader(text)}
	begin, n := output.Last(r, int64(len(text)), 10)
	require.Equal(t, int64(len(text)-110), begin)
	require.Equal(t, 10, n)
	require.LessOrEqual(t, r.n, 64<<10)
}

type counted struct {
	io.ReaderAt
	n int
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	c.n += len(p)
	return c.ReaderAt.ReadAt(p, at)
}

// FuzzLast compares the search from the end with one that splits all of it.
func FuzzLast(f *testing.F) {
	f.Add([]byte("a\nb\n"), 1, 1)
	f.Add([]byte("\n\n\n"), 2, 70_000)
	f.Add([]byte("no end"), 3, 1)
	f.Fuzz(func(t *testing.T, text []byte, want, times int) {
		want = 1 + want&1023
		text = bytes.Repeat(text, 1+min(times&0x1ffff, 200_000/(1+len(text))))
		all := bytes.SplitAfter(text, []byte("\n"))
		if len(all[len(all)-1]) == 0 {
			all = all[:len(all)-1]
		}
		last := all[max(0, len(all)-want):]
		begin, n := output.Last(bytes.NewReader(text), int64(len(text)), want)
		require.Len(t, last, n)
		require.Equal(t, string(bytes.Join(last, nil)), string(text[begin:]))
	})
}

// follower reads lines in a goroutine of its own.
type follower struct {
	io.Closer
	lines chan string
}

func (s store) follow(ctx context.Context, tail int) follower {
	s.t.Helper()
	r, err := s.Read(ctx, web, "", rollout.LogQuery{Tail: tail, Follow: true})
	require.NoError(s.t, err)
	f := follower{r, make(chan string, 10_000)}
	go func() {
		defer close(f.lines)
		b := bufio.NewScanner(r)
		for b.Scan() {
			f.lines <- b.Text()
		}
		if b.Err() != nil {
			f.lines <- b.Err().Error()
		}
	}()
	return f
}

func (f follower) got() (text string) {
	time.Sleep(250 * time.Millisecond) // fake
	synctest.Wait()
	for {
		select {
		case line, ok := <-f.lines:
			if !ok {
				return text + "ended"
			}
			text += line + "\n"
		default:
			return text
		}
	}
}

func TestFollowGoesOnOverRotationAndEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, output.Config{Size: 1000, Files: 6})
		l := s.start("r-1")
		write(t, l, lines(0, 10))
		ctx, cancel := context.WithCancel(t.Context())
		f := s.follow(ctx, 2)
		defer f.Close()
		require.Equal(t, lines(8, 10), f.got())
		write(t, l, lines(10, 20)+"half")
		require.Equal(t, lines(10, 20), f.got())
		write(t, l, " line\n"+lines(20, 200))
		s.Tidy()
		write(t, l, lines(200, 350)) // is rotated before it is read, too
		s.Tidy()
		write(t, l, lines(350, 360))
		require.Equal(t, "half line\n"+lines(20, 360), printed(f.got()))

		write(t, l, lines(0, 50))
		require.Equal(t, lines(0, 50), f.got())
		require.NoError(t, os.Truncate(s.path(l), 0)) // by somebody
		require.Empty(t, f.got())
		write(t, l, "new\n")
		require.Equal(t, "new\n", f.got())

		require.NoError(t, os.Remove(s.path(l)))
		write(t, l, "deleted\n")
		s.Tidy()
		require.Equal(t, "deleted\n", printed(f.got()))
		write(t, l, "and on\n")
		s.Tidy()
		require.Equal(t, "and on\n", printed(f.got()))

		other := s.start("r-2")
		write(t, other, "hello\n")
		require.Equal(t, "r-2 | hello\n", f.got())
		require.NoError(t, l.Close())
		again := s.start("r-1")
		write(t, again, "again\n")
		require.Equal(t, "r-1 | again\n", printed(f.got()))
		cancel()
		require.Equal(t, "ended", f.got())
	})
}

func TestFollowWaitsForTheFirstReplica(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, output.Config{})
		f := s.follow(t.Context(), 0)
		require.Empty(t, f.got())
		write(t, s.start("r-1"), "first\n")
		require.Equal(t, "first\n", f.got())
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
		require.Equal(t, "ended", f.got(), "Close ends a Read that waits")
	})
}

func TestAReadThatIsCutShortSaysSo(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	write(t, s.start("r-1"), "first\n")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Read(ctx, web, "", rollout.LogQuery{})
	require.NoError(t, err)
	defer r.Close()
	cancel()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAReadEndsThoughTheReplicaGoesOn(t *testing.T) {
	s := open(t, t.TempDir(), output.Config{})
	l := s.start("r-1")
	write(t, l, lines(0, 10))
	r, err := s.Read(t.Context(), web, "", rollout.LogQuery{})
	require.NoError(t, err)
	defer r.Close()
	write(t, l, lines(10, 20))
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, lines(0, 10), string(text))
}
