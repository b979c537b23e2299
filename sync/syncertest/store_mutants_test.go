package syncertest_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// folders is a Store whose FolderStores are wrapped, each once.
type folders struct {
	cloudsync.Store
	name func(string) string
	wrap func(cloudsync.FolderStore) cloudsync.FolderStore

	mu  sync.Mutex
	all map[string]cloudsync.FolderStore
}

func (s *folders) SyncState(name string) cloudsync.FolderStore {
	if s.name != nil {
		name = s.name(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name] == nil {
		s.all[name] = s.wrap(s.Store.SyncState(name))
	}
	return s.all[name]
}

type wrapping = func(cloudsync.Store) cloudsync.Store

// eachFolder wraps every FolderStore.
func eachFolder(wrap func(cloudsync.FolderStore) cloudsync.FolderStore) wrapping {
	return func(s cloudsync.Store) cloudsync.Store {
		return &folders{Store: s, wrap: wrap, all: map[string]cloudsync.FolderStore{}}
	}
}

// bentFolder is a FolderStore some of whose methods are replaced.
type bentFolder struct {
	cloudsync.FolderStore
	update updateFunc
	list   listFunc
	watch  provetest.WatchOf[cloudsync.Event]
}

type (
	updateFunc = func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error)
	listFunc   = func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error]
)

func (f *bentFolder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	if f.update == nil {
		return f.FolderStore.Update(ctx, token, entries, events...)
	}
	return f.update(ctx, token, entries, events...)
}

func (f *bentFolder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	if f.list == nil {
		return f.FolderStore.List(ctx, prefix)
	}
	return f.list(ctx, prefix)
}

func (f *bentFolder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	if f.watch == nil {
		return f.FolderStore.Watch(ctx, after)
	}
	return f.watch(ctx, after)
}

func updating(with func(cloudsync.FolderStore) updateFunc) wrapping {
	return eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore {
		return &bentFolder{FolderStore: f, update: with(f)}
	})
}

func listingBy(with func(cloudsync.FolderStore) listFunc) wrapping {
	return eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore { return &bentFolder{FolderStore: f, list: with(f)} })
}

// given changes what is given to Update.
func given(change func(token *int64, entries *[]cloudsync.Entry, events []cloudsync.Event)) wrapping {
	return updating(func(f cloudsync.FolderStore) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			entries, events = slices.Clone(entries), slices.Clone(events)
			change(&token, &entries, events)
			return f.Update(ctx, token, entries, events...)
		}
	})
}

// eachEntry changes or drops what is listed.
func eachEntry(change func(prefix string, n int, e *cloudsync.Entry) bool) wrapping {
	return listingBy(func(f cloudsync.FolderStore) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return provetest.Each(f.List(ctx, prefix), func(n int, e *cloudsync.Entry) bool { return change(prefix, n, e) })
		}
	})
}

var folderFeed = provetest.Feed[cloudsync.Store, cloudsync.Event]{
	Watch: func(s cloudsync.Store, ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
		return s.SyncState("notes").Watch(ctx, after)
	},
	Bad: func(f func(cloudsync.Store) provetest.WatchOf[cloudsync.Event]) func(cloudsync.Store) cloudsync.Store {
		return eachFolder(func(one cloudsync.FolderStore) cloudsync.FolderStore {
			same := func(cloudsync.FolderStore) cloudsync.FolderStore { return one }
			return &bentFolder{FolderStore: one, watch: f(&folders{wrap: same, Store: memory.New(), all: map[string]cloudsync.FolderStore{}})}
		})
	},
	Compacted: cloudsync.ErrCompacted,
}

// mutant breaks one promise of sync.FolderStore.
type mutant = provetest.Broken[cloudsync.Store]

func storeHarness(m mutant) syncertest.StoreHarness {
	h := m.Harness(func(events int, age time.Duration) cloudsync.Store {
		return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}})
	})
	return syncertest.StoreHarness{Open: h.Open, Again: h.Again, Retain: h.Retain}
}

func TestEveryCaseOfRunStoreCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return storeHarness(m).Cases() }
	all := slices.Concat(entryMutants, tokenMutants, eventMutants, folderFeed.Broken())
	sound := append(cases(mutant{}), fragileStore("").Cases()...)
	provetest.Prove(t, sound, append(provetest.Of(all, cases), provetest.Mutant{
		What: "yields what it cannot read", Caught: "an event that cannot be read is corrupt, and others are not",
		Cases: fragileStore("yields it").Cases(),
	}, provetest.Mutant{
		What: "stops at what it cannot read", Caught: "an event that cannot be read is corrupt, and others are not",
		Cases: fragileStore("stops").Cases(),
	}))
}

// fragileStore is a store whose events can be damaged.
func fragileStore(careless string) syncertest.StoreHarness {
	h := storeHarness(mutant{})
	var damaged sync.Map
	h.Open = func(testing.TB) cloudsync.Store {
		damaged.Clear()
		return eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore {
			return &bentFolder{FolderStore: f, watch: func(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
				return func(yield func(cloudsync.Event, error) bool) {
					for e, err := range f.Watch(ctx, after) {
						if _, is := damaged.Load(e.Run); is && careless == "stops" {
							yield(cloudsync.Event{}, cloudsync.ErrCorrupt)
							return
						} else if is && careless == "" {
							e = cloudsync.Event{Seq: e.Seq, Time: e.Time, Run: e.Run, Kind: cloudsync.EventCorrupt}
						}
						if !yield(e, err) {
							return
						}
					}
				}
			}}
		})(memory.New())
	}
	h.Again = nil
	h.Retain = nil
	h.Damage = func(_ testing.TB, _ cloudsync.Store, _, run string) { damaged.Store(run, true) }
	return h
}
