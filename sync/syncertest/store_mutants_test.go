package syncertest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// storeMutant breaks one promise of sync.FolderStore.
type storeMutant = provetest.Broken[cloudsync.Store]

func TestTheSuiteOfStoresIsProved(t *testing.T) {
	cases := func(m storeMutant) []suitetest.Case { return stores(m).Cases() }
	all := slices.Concat(entryMutants, listMutants, tokenMutants, eventMutants, storeFeed.Broken())
	provetest.Prove(t, cases(storeMutant{}), provetest.Of(all, cases))
}

func stores(m storeMutant) syncertest.StoreHarness {
	h := m.Harness(func(events int, age time.Duration) cloudsync.Store {
		return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}})
	})
	return syncertest.StoreHarness{Open: h.Open, Again: h.Again, Retain: h.Retain}
}

// bentStore is a Store whose folders are bent.
type bentStore struct {
	cloudsync.Store
	bend func(sound cloudsync.FolderStore) cloudsync.FolderStore
	name func(string) string
}

func (s bentStore) SyncState(name string) cloudsync.FolderStore {
	if s.name != nil {
		name = s.name(name)
	}
	if s.bend == nil {
		return s.Store.SyncState(name)
	}
	return s.bend(s.Store.SyncState(name))
}

type (
	updateFunc func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error)
	getFunc    func(ctx context.Context, key string) ([]byte, error)
	listFunc   func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error]
)

// bentFolder is a FolderStore that has other methods, those that are not nil.
type bentFolder struct {
	cloudsync.FolderStore
	update updateFunc
	get    getFunc
	list   listFunc
	watch  provetest.WatchOf[cloudsync.Event]
}

func (f bentFolder) Update(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
	if f.update == nil {
		return f.FolderStore.Update(ctx, token, entries, events...)
	}
	return f.update(ctx, token, entries, events...)
}

func (f bentFolder) Get(ctx context.Context, key string) ([]byte, error) {
	if f.get == nil {
		return f.FolderStore.Get(ctx, key)
	}
	return f.get(ctx, key)
}

func (f bentFolder) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	if f.list == nil {
		return f.FolderStore.List(ctx, prefix)
	}
	return f.list(ctx, prefix)
}

func (f bentFolder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	if f.watch == nil {
		return f.FolderStore.Watch(ctx, after)
	}
	return f.watch(ctx, after)
}

// of makes stores whose folders are bent like this.
func of(bend func(f *bentFolder)) func(cloudsync.Store) cloudsync.Store {
	return func(s cloudsync.Store) cloudsync.Store {
		return bentStore{Store: s, bend: func(sound cloudsync.FolderStore) cloudsync.FolderStore {
			f := bentFolder{FolderStore: sound}
			bend(&f)
			return f
		}}
	}
}

// updating makes stores that write otherwise.
func updating(update func(sound updateFunc) updateFunc) func(cloudsync.Store) cloudsync.Store {
	return of(func(f *bentFolder) { f.update = update(f.FolderStore.Update) })
}

// getting makes stores that find otherwise.
func getting(get func(s cloudsync.FolderStore, ctx context.Context, key string) ([]byte, error)) func(cloudsync.Store) cloudsync.Store {
	return of(func(f *bentFolder) {
		f.get = func(ctx context.Context, key string) ([]byte, error) { return get(f.FolderStore, ctx, key) }
	})
}

// listing makes stores that list otherwise.
func listing(list func(sound listFunc) listFunc) func(cloudsync.Store) cloudsync.Store {
	return of(func(f *bentFolder) { f.list = list(f.FolderStore.List) })
}

// changing makes stores that write other entries.
func changing(change func([]cloudsync.Entry) []cloudsync.Entry) func(cloudsync.Store) cloudsync.Store {
	return updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			return sound(ctx, token, change(slices.Clone(entries)), events...)
		}
	})
}

var entryMutants = []storeMutant{
	{What: "keeps keys as text", Caught: "entries come back byte by byte, in byte order", Wrap: changing(func(all []cloudsync.Entry) []cloudsync.Entry {
		for i := range all {
			all[i].Key = strings.ToValidUTF8(all[i].Key, "?")
		}
		return all
	})},
	{What: "finds what begins like that", Caught: "an entry is read by its key", Wrap: getting(func(s cloudsync.FolderStore, ctx context.Context, key string) ([]byte, error) {
		for e, err := range s.List(ctx, key) {
			return e.Value, err
		}
		return nil, cloudsync.ErrNotFound
	})},
	{What: "finds nothing without an error", Caught: "an entry is read by its key", Wrap: getting(func(s cloudsync.FolderStore, ctx context.Context, key string) ([]byte, error) {
		value, err := s.Get(ctx, key)
		if errors.Is(err, cloudsync.ErrNotFound) {
			err = nil
		}
		return value, err
	})},
	{What: "reads no bytes as nothing", Caught: "an entry is read by its key", Wrap: getting(func(s cloudsync.FolderStore, ctx context.Context, key string) ([]byte, error) {
		value, err := s.Get(ctx, key)
		return append([]byte(nil), value...), err
	})},
	{What: "removes nothing", Caught: "an entry is replaced and removed", Wrap: changing(func(all []cloudsync.Entry) []cloudsync.Entry {
		return slices.DeleteFunc(all, func(e cloudsync.Entry) bool { return e.Value == nil })
	})},
	{What: "takes the first", Caught: "of a key that is there twice the last counts", Wrap: changing(func(all []cloudsync.Entry) []cloudsync.Entry {
		slices.Reverse(all)
		return all
	})},
	{What: "cuts at 16 MiB", Caught: "a large value comes back", Wrap: changing(func(all []cloudsync.Entry) []cloudsync.Entry {
		for i := range all {
			all[i].Value = all[i].Value[:min(len(all[i].Value), 16<<20)]
		}
		return all
	})},
	{What: "takes anything", Caught: "what cannot be written is refused", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := sound(ctx, token, entries, events...)
			if errors.Is(err, cloudsync.ErrInvalid) {
				err = nil
			}
			return seq, err
		}
	})},
	{What: "writes the sound half", Caught: "an update is done whole or not at all", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := sound(ctx, token, entries, events...)
			if err != nil && len(entries) > 1 {
				_, _ = sound(ctx, 0, entries[:len(entries)/2])
			}
			return seq, err
		}
	})},
	{What: "writes an update in two", Caught: "updates at once are not mixed", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			if n := len(entries) / 2; n > 0 {
				if _, err := sound(ctx, token, entries[:n]); err != nil {
					return 0, err
				}
				time.Sleep(time.Millisecond)
				entries = entries[n:]
			}
			return sound(ctx, token, entries, events...)
		}
	})},
	{What: "trims the names of folders", Caught: "folders do not see each other", Wrap: func(s cloudsync.Store) cloudsync.Store {
		return bentStore{Store: s, name: strings.TrimSpace}
	}},
	{What: "does not see the end of a context", Caught: "a context that has ended writes and reads nothing", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			return sound(context.WithoutCancel(ctx), token, entries, events...)
		}
	})},
	{What: "finds after the end of a context", Caught: "a context that has ended writes and reads nothing",
		Wrap: getting(func(s cloudsync.FolderStore, ctx context.Context, key string) ([]byte, error) {
			return s.Get(context.WithoutCancel(ctx), key)
		})},
	{What: "numbers the events that it is given", Caught: "what a call was given is the caller's to change", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := sound(ctx, token, entries, events...)
			for i := range events {
				events[i].Seq = seq - int64(len(events)-1-i)
			}
			return seq, err
		}
	})},
}

var listMutants = []storeMutant{
	{What: "makes an entry of its own", Caught: "a new folder has nothing", Wrap: listing(func(sound listFunc) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return func(yield func(cloudsync.Entry, error) bool) {
				if yield(cloudsync.Entry{Key: prefix, Value: []byte("made")}, nil) {
					sound(ctx, prefix)(yield)
				}
			}
		}
	})},
	{What: "lists with less of the prefix", Caught: "a list has a prefix", Wrap: listing(func(sound listFunc) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return sound(ctx, prefix[:max(len(prefix)-1, 0)])
		}
	})},
	{What: "lists once", Caught: "a list can be left and read again", Wrap: listing(func(sound listFunc) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return provetest.Once(sound(ctx, prefix))
		}
	})},
	{What: "lists in pages", Caught: "a list is of one moment", Wrap: listing(func(sound listFunc) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return func(yield func(cloudsync.Entry, error) bool) {
				last, n := "", 0
				for more := true; more; {
					more = false
					for e, err := range sound(ctx, prefix) {
						if err == nil && n > 0 && e.Key <= last {
							continue
						}
						if last, n = e.Key, n+1; !yield(e, err) || err != nil {
							return
						}
						if more = n%100 == 2; more {
							break
						}
					}
				}
			}
		}
	})},
	{What: "yields what it keeps", Caught: "what a list yields is the caller's to change", Wrap: func(s cloudsync.Store) cloudsync.Store {
		var kept sync.Map
		return listing(func(sound listFunc) listFunc {
			return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
				return provetest.Each(sound(ctx, prefix), func(_ int, e *cloudsync.Entry) bool {
					value, _ := kept.LoadOrStore(e.Key, bytes.Clone(e.Value))
					e.Value = value.([]byte)
					return true
				})
			}
		})(s)
	}},
	{What: "keeps entries in the handle", Caught: "two handles see the same folder", Again: another},
	{What: "keeps events in the handle", Caught: "watch sees the events of other handles", Again: another},
}

func another(cloudsync.Store) cloudsync.Store { return memory.New() }

var tokenMutants = []storeMutant{
	{What: "asks for no token", Caught: "a lesser token is overtaken", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			return sound(ctx, min(token, 0), entries, events...)
		}
	})},
	{What: "takes 0 for the greatest", Caught: "token 0 asks for nothing and leaves the token", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			if token == 0 {
				token = 1 << 60
			}
			return sound(ctx, token, entries, events...)
		}
	})},
}

var eventMutants = []storeMutant{
	{What: "forgets how far a run is", Caught: "watch yields what was written in order",
		Wrap: storeFeed.Each(func(_ context.Context, _ int, e *cloudsync.Event) bool { e.Percent = 0; return true })},
	{What: "keeps paths as text", Caught: "an event comes back as it was written",
		Wrap: storeFeed.Each(func(_ context.Context, _ int, e *cloudsync.Event) bool {
			e.Path = strings.ToValidUTF8(e.Path, "?")
			return true
		})},
	{What: "returns the number of the first event", Caught: "an update returns the number of its last event", Wrap: updating(func(sound updateFunc) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := sound(ctx, token, entries, events...)
			return seq - int64(max(len(events)-1, 0)), err
		}
	})},
	{What: "cannot write while it watches", Caught: "a watcher may use the store", Wrap: exclusive},
	{What: "leaves out every other number", Caught: "events are numbered for each folder, without a gap",
		Wrap: storeFeed.Each(func(_ context.Context, _ int, e *cloudsync.Event) bool { e.Seq *= 2; return true })},
}

// exclusive makes stores that cannot write while somebody watches.
func exclusive(s cloudsync.Store) cloudsync.Store {
	var readers atomic.Int64
	return of(func(f *bentFolder) {
		f.update = func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			if readers.Load() > 0 {
				return 0, storage.ErrBusy
			}
			return f.FolderStore.Update(ctx, token, entries, events...)
		}
		f.watch = func(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
			return provetest.Counted(&readers, f.FolderStore.Watch(ctx, after))
		}
	})(s)
}

// storeFeed is what is needed to break the Watch of folders.
var storeFeed = provetest.Feed[cloudsync.Store, cloudsync.Event]{
	Watch: func(s cloudsync.Store, ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] { //nolint:revive // a method expression
		return s.SyncState("notes").Watch(ctx, after)
	},
	Bad: provetest.Bad(func(sound cloudsync.Store, watch provetest.WatchOf[cloudsync.Event]) cloudsync.Store {
		return bentStore{Store: sound, bend: func(f cloudsync.FolderStore) cloudsync.FolderStore {
			return bentFolder{FolderStore: f, watch: watch}
		}}
	}),
	Compacted: cloudsync.ErrCompacted,
}
