package sync_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// A bug is planted by standing between the engine and what it uses: by what it
// reads and writes then, it does what an engine with the bug would do.
type bug struct {
	name string
	from uint64 // the seed of a history that sees it
	// in what the engine is given: on compactions, if compacts.
	in func(c *cloudsync.EngineConfig, u use, f mount, compacts bool)
}

func bugs() []bug {
	seen := make(map[string]map[string]any) // indexes that some head has named
	note := func(head map[string]any) {
		list, _ := head["index"].([]any)
		for _, name := range list {
			seen[name.(string)] = head
		}
	}
	all := func(head map[string]any) { head["index"] = slices.Sorted(maps.Keys(seen)) }
	return []bug{
		{"dedup through a stale cache", 5, func(c *cloudsync.EngineConfig, u use, _ mount, compacts bool) {
			c.Remote = hoarding{u}
			if compacts {
				c.Sealer = sealing{write: note}
			} else {
				c.Sealer = sealing{write: note, read: func(head map[string]any) { note(head); all(head) }}
			}
		}},
		{"the index is kept after a compaction", 0, func(c *cloudsync.EngineConfig, u use, _ mount, compacts bool) {
			c.Remote = hoarding{u}
			c.Sealer = sealing{write: func(head map[string]any) {
				if note(head); compacts {
					all(head)
				}
			}}
		}},
		{"own packs are not looked for", 178, func(c *cloudsync.EngineConfig, u use, _ mount, _ bool) { c.Remote = blind{u} }},
		{"what is condemned is not named", 162, func(c *cloudsync.EngineConfig, _ use, _ mount, compacts bool) {
			if compacts {
				c.Sealer = sealing{write: func(head map[string]any) { delete(head, "pending") }}
			}
		}},
		{"objects are deleted without a commit", 0, func(c *cloudsync.EngineConfig, u use, _ mount, compacts bool) {
			if compacts {
				c.Remote = deaf{u}
			}
		}},
		{"a head replaces another one", 8, func(c *cloudsync.EngineConfig, u use, _ mount, _ bool) { c.Remote = rude{u} }},
		{"what comes out is thrown away", 6104, func(c *cloudsync.EngineConfig, _ use, f mount, _ bool) { c.Files = hasty{f} }},
		{"size and time are trusted", 61, func(c *cloudsync.EngineConfig, _ use, f mount, _ bool) { c.Files = trusting{f} }},
		{"what is begun is not noted", 1808, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Store = forgetful{c.Store, "journal/"} }},
		{"what comes out is not looked at again", 248, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Store = forgetful{c.Store, "out/"} }},
		{"the base is not noted", 1, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Store = forgetful{c.Store, "base"} }},
		{"the newest head is not noted", 1050, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Store = forgetful{c.Store, "head"} }},
		{"tags do not count", 17, func(c *cloudsync.EngineConfig, _ use, _ mount, compacts bool) {
			if compacts {
				c.Sealer = sealing{read: func(head map[string]any) { delete(head, "tags") }}
			}
		}},
		{"what a pull takes away is not shelved", 64, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) {
			c.Sealer = sealing{write: func(head map[string]any) { delete(head, "shelf") }}
		}},
		{"masks are ignored", 47, func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Ignore = nil }},
	}
}

// sealing is a Sealer that changes heads when they are written or read.
type sealing struct {
	plain
	write, read func(head map[string]any)
}

func (s sealing) Seal(kind cloudsync.ObjectKind, name string, content []byte) []byte {
	if kind == cloudsync.ObjectHead && s.write != nil {
		content = changed(content, s.write)
	}
	return s.plain.Seal(kind, name, content)
}

func (s sealing) Open(kind cloudsync.ObjectKind, name string, object []byte, most int) ([]byte, error) {
	content, err := s.plain.Open(kind, name, object, most)
	if err == nil && kind == cloudsync.ObjectHead && s.read != nil {
		content = changed(content, s.read)
	}
	return content, err
}

func changed(content []byte, change func(map[string]any)) []byte {
	var head map[string]any
	if err := json.Unmarshal(content, &head); err != nil {
		panic(err)
	}
	change(head)
	content, err := json.Marshal(head)
	if err != nil {
		panic(err)
	}
	return content
}

// blind finds every pack that it asks for whether it is there.
type blind struct{ use }

func (b blind) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if n == 1 && strings.HasPrefix(name, "packs/") {
		return io.NopCloser(strings.NewReader("x")), nil
	}
	return b.use.Get(ctx, name, off, n)
}

// deaf puts no head, and is told that it did.
type deaf struct{ use }

func (d deaf) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if strings.HasPrefix(name, "heads/") {
		return nil
	}
	return d.use.PutIfAbsent(ctx, name, body)
}

// rude replaces what is there.
type rude struct{ use }

func (r rude) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if strings.HasPrefix(name, "heads/") {
		delete(r.objects, name)
	}
	return r.use.PutIfAbsent(ctx, name, body)
}

// hoarding never deletes an index.
type hoarding struct{ use }

func (h hoarding) Delete(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "index/") {
		return nil
	}
	return h.use.Delete(ctx, name)
}

// hasty replaces what is at a path without a look at it.
type hasty struct{ mount }

func (h hasty) Place(ctx context.Context, staged, path string) (cloudsync.File, error) {
	f, err := h.mount.Place(ctx, staged, path)
	if err == nil {
		delete(h.all, staged)
	}
	return f, err
}

// trusting takes a file for what it was as long as its size and its time are.
type trusting struct{ mount }

func (m trusting) dull(f cloudsync.File) cloudsync.File {
	f.Tag, f.Recent = "", false
	return f
}

func (m trusting) Stat(ctx context.Context, path string) (cloudsync.File, error) {
	f, err := m.mount.Stat(ctx, path)
	return m.dull(f), err
}

func (m trusting) List(ctx context.Context, folder string) iter.Seq2[cloudsync.File, error] {
	return func(yield func(cloudsync.File, error) bool) {
		for f, err := range m.mount.List(ctx, folder) {
			if !yield(m.dull(f), err) {
				return
			}
		}
	}
}

// forgetful loses some notes.
type forgetful struct {
	cloudsync.FolderStore
	key string
}

func (f forgetful) Update(ctx context.Context, token int64, entries []cloudsync.Entry, _ ...cloudsync.Event) (int64, error) {
	return f.FolderStore.Update(ctx, token, slices.DeleteFunc(slices.Clone(entries), func(e cloudsync.Entry) bool { return strings.HasPrefix(e.Key, f.key) }))
}

// TestTheModelSeesPlantedBugs: the histories from one on that is known to.
func TestTheModelSeesPlantedBugs(t *testing.T) {
	for _, b := range bugs() {
		t.Run(b.name, func(t *testing.T) {
			for seed := b.from; seed < b.from+20_000; seed++ {
				var why string
				synctest.Test(t, func(t *testing.T) { why = play(t, historytest.Random(seed), b.in) })
				if why != "" {
					t.Logf("history %d: %s", seed, firstLine(why))
					return
				}
			}
			require.Fail(t, "no history sees it")
		})
	}
}

func firstLine(why string) string {
	_, message, _ := strings.Cut(why, "Messages:")
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return line
}
