package sync_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// damage lists what a device sees of it.
func (w *world) damage(d *device, depth cloudsync.Depth) (all []cloudsync.Damage) {
	w.Helper()
	puts := w.cloud.puts
	for x, err := range w.engine(d, new(process), false).Verify(w.Context(), depth) {
		require.NoError(w, err)
		all = append(all, x)
	}
	require.Equal(w, puts, w.cloud.puts, "it changes nothing")
	return all
}

// first is the first object of a folder of the cloud that has a text.
func (c *cloud) first(folder, text string) string {
	for name := range c.objects {
		if strings.HasPrefix(name, folder) && bytes.Contains(c.content[name], []byte(text)) {
			return name
		}
	}
	return ""
}

func (c *cloud) lose(name string) {
	delete(c.objects, name)
	delete(c.content, name)
}

// flip damages some bytes.
func (c *cloud) flip(name, text string) {
	c.content[name] = bytes.Replace(c.content[name], []byte(text), []byte(strings.Repeat("#", len(text))), 1)
}

func TestWhatIsDamagedIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage func(c *cloud) string
		depth  cloudsync.Depth
		reason string
		paths  string
	}{
		"a pack is missing": {func(c *cloud) string { n := c.first("packs/", "text of x"); c.lose(n); return n },
			cloudsync.DepthObjects, "it is missing", "d/x large new"},
		"a pack is short": {func(c *cloud) string {
			n := c.first("packs/", "text of x")
			o := c.objects[n]
			o.Size -= 10
			c.objects[n], c.content[n] = o, c.content[n][10:]
			return n
		}, cloudsync.DepthObjects, "it is damaged", "d/x large new"},
		"a content is damaged": {func(c *cloud) string { n := c.first("packs/", "text of x"); c.flip(n, "text of x"); return n },
			cloudsync.DepthContents, "it is damaged", "d/x"},
		"an index is missing": {func(c *cloud) string { n := c.first("index/", ""); c.lose(n); return n },
			cloudsync.DepthObjects, "it is missing", ""},
		"an index is damaged": {func(c *cloud) string { n := c.first("index/", ""); c.content[n][20] ^= 1; return n },
			cloudsync.DepthObjects, "it is damaged", ""},
	} {
		for repairer := range 2 {
			t.Run(fmt.Sprint(name, repairer), func(t *testing.T) {
				w := newWorld(t, 3)
				a, b := w.devices[0], w.devices[1]
				a.disk.write("d/x", "text of x")
				a.disk.write("d/y", "text of y")
				a.disk.write("large", strings.Repeat("0123456789abcdef", 100_000))
				a.disk.write("new", "of a")
				w.settle()
				w.wrote(a, "other", "later")
				w.must(b)
				require.Empty(t, w.damage(a, cloudsync.DepthContents))
				object := tt.damage(w.cloud)
				all := w.damage(a, tt.depth)
				i := slices.IndexFunc(all, func(d cloudsync.Damage) bool { return d.Object == object })
				require.GreaterOrEqual(t, i, 0, "%+v", all)
				require.Equal(t, tt.reason, all[i].Reason)
				for path := range strings.FieldsSeq(tt.paths) {
					require.True(t, slices.ContainsFunc(all[i].Paths, func(at string) bool {
						return at == path || at == "" || strings.HasPrefix(path, at+"/")
					}), "%s of %v", path, all[i].Paths)
				}
				if tt.depth == cloudsync.DepthContents {
					require.Equal(t, strings.Fields(tt.paths), all[i].Paths)
					require.Empty(t, w.damage(a, cloudsync.DepthObjects), "all of it is there")
				}
				r, err := w.engine(w.devices[repairer], new(process), false).Repair(t.Context(), cloudsync.By{Actor: "ann"})
				require.NoError(t, err)
				require.True(t, r.Committed)
				puts := w.cloud.puts
				_, err = w.engine(a, new(process), false).Repair(t.Context(), cloudsync.By{})
				require.NoError(t, err)
				require.Equal(t, puts, w.cloud.puts, "once is enough")
				b.disk.now += 8
				w.settle()
				w.equal()
				require.Empty(t, w.damage(a, cloudsync.DepthContents))
				fresh := newWorld(t, 1)
				fresh.cloud = w.cloud
				fresh.must(fresh.devices[0])
				require.Equal(t, a.disk.String(), fresh.devices[0].disk.String())
				puts = w.cloud.puts
				w.settle()
				require.Equal(t, puts, w.cloud.puts)
				_, err = w.engine(a, new(process), true).Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
				require.NoError(t, err)
				w.settle()
				require.Empty(t, w.damage(a, cloudsync.DepthContents))
			})
		}
	}
}

// TestALostFileIsNotDeleted: as long as nobody has it, a device that lacks it waits.
func TestALostFileIsNotDeleted(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.devices[0], w.devices[1]
	w.wrote(a, "x", "text of x")
	w.wrote(a, "y", "text of y")
	w.cloud.lose(w.cloud.first("packs/", "text of y"))
	_, err := w.engine(b, new(process), false).Repair(t.Context(), cloudsync.By{})
	require.NoError(t, err)
	_, err = w.sync(b, new(process), cloudsync.Request{})
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	w.must(a)
	w.must(b)
	w.equal()
	require.Equal(t, "x=text of x y=text of y", b.disk.String())
}

func TestALostChapterIsForgotten(t *testing.T) {
	w := newWorld(t, 1)
	d := w.devices[0]
	for i := range 100 {
		w.wrote(d, "n", fmt.Sprint(i))
	}
	for w.cloud.first("log/", "") != "" {
		w.cloud.lose(w.cloud.first("log/", ""))
	}
	all := w.damage(d, cloudsync.DepthObjects)
	require.Len(t, all, 1)
	_, err := w.engine(d, new(process), false).Repair(t.Context(), cloudsync.By{})
	require.NoError(t, err)
	require.Empty(t, w.damage(d, cloudsync.DepthObjects))
	require.Greater(t, len(w.commits(d, cloudsync.CommitQuery{})), 32)
	w.settle()
}
