package sync_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func (c *cloud) mirror(ctx context.Context, src *cloud, p *process) error {
	return cloudsync.Mirror(ctx, use{c, p}, use{src, p})
}

// configured makes a cloud the place of a repository.
func (c *cloud) configured(text string) {
	body := bytes.NewReader([]byte(text))
	_ = use{c, new(process)}.PutIfAbsent(context.Background(), "config", sized{body})
}

type sized struct{ *bytes.Reader }

func (s sized) Size() int64 { return s.Reader.Size() }

func TestADeviceGoesOnWithAMirror(t *testing.T) {
	w := newWorld(t, 2)
	w.cloud.configured("repository 1")
	a, b := w.devices[0], w.devices[1]
	first := w.wrote(a, "large", strings.Repeat("0123456789abcdef", 400_000))
	for i := range 80 {
		w.wrote(a, "n", fmt.Sprint(i))
	}
	w.must(b)
	past := ids(w.commits(a, cloudsync.CommitQuery{}))
	src, dst := w.cloud, newCloud()
	require.NoError(t, dst.mirror(t.Context(), src, new(process)))
	puts := dst.puts
	require.NoError(t, dst.mirror(t.Context(), src, new(process)))
	require.Equal(t, puts, dst.puts, "it has all of it")

	w.wrote(a, "n", "later")
	w.must(b)
	require.NoError(t, dst.mirror(t.Context(), src, new(process)))
	w.cloud = dst
	a.disk.write("m", "in the mirror")
	w.settle()
	w.equal()
	require.Subset(t, ids(w.commits(b, cloudsync.CommitQuery{})), past)
	require.Len(t, w.open(b, first, "large"), 6_400_000)
	require.Empty(t, w.damage(a, cloudsync.DepthContents))
	_, err := w.engine(a, new(process), true).Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
	require.NoError(t, err)
	w.settle()

	require.ErrorIs(t, dst.mirror(t.Context(), src, new(process)), cloudsync.ErrForked, "it has gone on")
	require.NoError(t, src.mirror(t.Context(), dst, new(process)), "back again")
	other := newCloud()
	other.configured("repository 2")
	require.ErrorIs(t, other.mirror(t.Context(), src, new(process)), cloudsync.ErrForked)
	require.Len(t, other.objects, 1)
	require.NoError(t, newCloud().mirror(t.Context(), newCloud(), new(process)))
}

// TestAMirrorIsWholeOrHasNoHead: wherever it is stopped, and whatever happens
// there meanwhile.
func TestAMirrorIsWholeOrHasNoHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			ended := 0
			for how := range 3 {
				w := newWorld(t, 2)
				w.cloud.configured("repository 1")
				a := w.devices[0]
				for i := range 5 {
					w.wrote(a, "n", fmt.Sprint(i))
					w.wrote(a, fmt.Sprint("m", i), "x")
				}
				src, dst, p := w.cloud, newCloud(), &process{}
				if how < 2 {
					p.dies, p.after = n, how == 1
				} else {
					p.during = map[int]func(){n: func() {
						w.wrote(a, "n", "meanwhile")
						_, err := w.engine(a, new(process), true).Compact(w.Context(), cloudsync.Retention{Age: 1}, cloudsync.By{})
						require.NoError(t, err)
					}}
				}
				err := dst.mirror(t.Context(), src, p)
				w.cloud = dst
				if how == 2 {
					require.NoError(t, err)
				}
				if dst.first("heads/", "") != "" {
					require.Empty(t, w.damage(w.devices[1], cloudsync.DepthContents), "%d, %d", n, how)
				}
				w.cloud = src
				require.NoError(t, dst.mirror(t.Context(), src, new(process)))
				w.cloud = dst
				w.settle()
				w.equal()
				require.Contains(t, w.devices[1].disk.String(), "m4=x")
				if p.calls >= n {
					ended++
				}
			}
			if ended == 0 {
				require.Greater(t, n, 20)
				return
			}
		}
	})
}
