package syncertest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const (
	roundTrip = "entries come back byte by byte, in byte order"
	replaced  = "an entry is replaced and removed"
	refused   = "what cannot be written is refused"
)

// byEach writes the entries of an update one by one.
func byEach(f cloudsync.FolderStore) updateFunc {
	return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (seq int64, err error) {
		for _, e := range entries {
			if _, err = f.Update(ctx, token, []cloudsync.Entry{e}); err != nil {
				return 0, err
			}
			time.Sleep(time.Millisecond)
		}
		return f.Update(ctx, token, nil, events...)
	}
}

// allowing writes what is refused with an error as if by a token that will do.
func allowing(is error, token func(int64) int64) wrapping {
	return updating(func(f cloudsync.FolderStore) updateFunc {
		return func(ctx context.Context, given int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := f.Update(ctx, given, entries, events...)
			if errors.Is(err, is) {
				return f.Update(ctx, token(given), entries, events...)
			}
			return seq, err
		}
	})
}

// mixed lists each entry as it is when its turn comes.
func mixed(f cloudsync.FolderStore) listFunc {
	return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
		return func(yield func(cloudsync.Entry, error) bool) {
			after := ""
			for first := true; ; first = false {
				found := false
				for e, err := range f.List(ctx, prefix) {
					if err != nil {
						yield(e, err)
						return
					}
					if first || e.Key > after {
						after, found = e.Key, true
						if !yield(e, nil) {
							return
						}
						break
					}
				}
				if !found {
					return
				}
			}
		}
	}
}

var entryMutants = []mutant{
	{What: "has a note of its own", Caught: "a new folder has nothing", Wrap: eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore {
		_, _ = f.Update(context.Background(), 0, []cloudsync.Entry{{Key: "version", Value: []byte("1")}})
		return f
	})},
	{What: "knows no bytes that are not UTF-8", Caught: roundTrip, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i, e := range *entries {
			(*entries)[i].Key = strings.ToValidUTF8(e.Key, "?")
		}
	})},
	{What: "lists no bytes as nil", Caught: roundTrip, Wrap: eachEntry(func(_ string, _ int, e *cloudsync.Entry) bool {
		if len(e.Value) == 0 {
			e.Value = nil
		}
		return true
	})},
	{What: "takes a percent sign for all", Caught: "a list has a prefix", Wrap: listingBy(func(f cloudsync.FolderStore) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return f.List(ctx, strings.TrimRight(prefix, "%"))
		}
	})},
	{What: "lists once", Caught: "a list can be left and read again", Wrap: listingBy(func(f cloudsync.FolderStore) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return provetest.Once(f.List(ctx, prefix))
		}
	})},
	{What: "lists as it goes", Caught: "a list is of one moment", Wrap: listingBy(mixed)},
	{What: "keeps what is removed", Caught: replaced, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i := range *entries {
			if (*entries)[i].Value == nil {
				(*entries)[i].Value = []byte{}
			}
		}
	})},
	{What: "removes what has no bytes", Caught: replaced, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i := range *entries {
			if len((*entries)[i].Value) == 0 {
				(*entries)[i].Value = nil
			}
		}
	})},
	{What: "writes the first of two", Caught: "of a key that is there twice the last counts",
		Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) { slices.Reverse(*entries) })},
	{What: "cuts what is large", Caught: "a large value comes back", Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i, e := range *entries {
			if len(e.Value) > 16<<20 && len(e.Value) <= 64<<20 {
				(*entries)[i].Value = e.Value[:16<<20]
			}
		}
	})},
	{What: "cuts long keys", Caught: refused, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i, e := range *entries {
			(*entries)[i].Key = e.Key[:min(len(e.Key), 4<<10)]
		}
	})},
	{What: "takes a value of any length", Caught: refused, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		for i, e := range *entries {
			(*entries)[i].Value = e.Value[:min(len(e.Value), 64<<20)]
		}
	})},
	{What: "writes without a key", Caught: refused, Wrap: given(func(_ *int64, entries *[]cloudsync.Entry, _ []cloudsync.Event) {
		*entries = slices.DeleteFunc(*entries, func(e cloudsync.Entry) bool { return e.Key == "" })
	})},
	{What: "leaves half of what is refused", Caught: "an update is done whole or not at all", Wrap: updating(byEach)},
	{What: "writes entry by entry", Caught: "updates at once are not mixed", Wrap: updating(byEach)},
	{What: "has one folder", Caught: "folders do not see each other", Wrap: func(s cloudsync.Store) cloudsync.Store {
		same := func(f cloudsync.FolderStore) cloudsync.FolderStore { return f }
		return &folders{Store: s, wrap: same, name: func(string) string { return "" }, all: map[string]cloudsync.FolderStore{}}
	}},
	{What: "knows no case of folders", Caught: "folders do not see each other", Wrap: func(s cloudsync.Store) cloudsync.Store {
		same := func(f cloudsync.FolderStore) cloudsync.FolderStore { return f }
		return &folders{Store: s, wrap: same, name: strings.ToLower, all: map[string]cloudsync.FolderStore{}}
	}},
	{What: "writes after the end", Caught: "a context that has ended writes and reads nothing", Wrap: updating(func(f cloudsync.FolderStore) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := f.Update(context.WithoutCancel(ctx), token, entries, events...)
			return seq, errors.Join(err, ctx.Err())
		}
	})},
	{What: "lists after the end", Caught: "a context that has ended writes and reads nothing", Wrap: listingBy(func(f cloudsync.FolderStore) listFunc {
		return func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
			return f.List(context.WithoutCancel(ctx), prefix)
		}
	})},
	{What: "keeps what it was given", Caught: "what a call was given is the caller's to change", Wrap: shared(true)},
	{What: "lists what it has", Caught: "what a list yields is the caller's to change", Wrap: shared(false)},
	{What: "has two states", Caught: "two handles see the same folder", Again: func(cloudsync.Store) cloudsync.Store { return memory.New() }},
}

// shared keeps or yields values that are not copies.
func shared(arguments bool) wrapping {
	return eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore {
		var mu sync.Mutex
		values := map[string][]byte{}
		return &bentFolder{
			FolderStore: f,
			update: func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
				seq, err := f.Update(ctx, token, entries, events...)
				mu.Lock()
				defer mu.Unlock()
				for _, e := range entries {
					if err == nil && arguments {
						values[e.Key] = e.Value
					} else {
						delete(values, e.Key)
					}
				}
				return seq, err
			},
			list: func(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
				return provetest.Each(f.List(ctx, prefix), func(_ int, e *cloudsync.Entry) bool {
					mu.Lock()
					defer mu.Unlock()
					if kept := values[e.Key]; kept != nil {
						e.Value = kept
					} else {
						values[e.Key] = e.Value
					}
					return true
				})
			},
		}
	})
}

var tokenMutants = []mutant{
	{What: "takes a negative token for none", Caught: refused, Wrap: given(func(token *int64, _ *[]cloudsync.Entry, _ []cloudsync.Event) { *token = max(0, *token) })},
	{What: "fences nothing", Caught: "a lesser token is overtaken", Wrap: allowing(cloudsync.ErrStale, func(int64) int64 { return 0 })},
	{What: "knows small tokens", Caught: "a lesser token is overtaken", Wrap: given(func(token *int64, _ *[]cloudsync.Entry, _ []cloudsync.Event) {
		*token = min(*token, 1<<31)
	})},
	{What: "does not note a token that writes nothing", Caught: "a lesser token is overtaken", Wrap: given(func(token *int64, entries *[]cloudsync.Entry, events []cloudsync.Event) {
		if len(*entries)+len(events) == 0 {
			*token = 0
		}
	})},
	{What: "refuses wishes", Caught: "token 0 asks for nothing and leaves the token", Wrap: given(func(token *int64, _ *[]cloudsync.Entry, _ []cloudsync.Event) {
		if *token == 0 {
			*token = 1
		}
	})},
	{What: "forgets the token by a wish", Caught: "token 0 asks for nothing and leaves the token", Wrap: updating(func(f cloudsync.FolderStore) updateFunc {
		wished := false
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			if wished = wished || token == 0; wished {
				token = 0
			}
			return f.Update(ctx, token, entries, events...)
		}
	})},
}

var eventMutants = []mutant{
	{What: "has local times", Caught: "watch yields what was written in order", Wrap: folderFeed.Each(func(_ context.Context, _ int, e *cloudsync.Event) bool {
		e.Time = e.Time.In(time.FixedZone("", 3600))
		return true
	})},
	{What: "forgets who asked", Caught: "watch yields what was written in order", Wrap: given(func(_ *int64, _ *[]cloudsync.Entry, events []cloudsync.Event) {
		for i := range events {
			events[i].Actor = ""
		}
	})},
	{What: "forgets how many files", Caught: "an event comes back as it was written", Wrap: given(func(_ *int64, _ *[]cloudsync.Entry, events []cloudsync.Event) {
		for i := range events {
			events[i].Progress.AllFiles = 0
		}
	})},
	{What: "knows no path that is not UTF-8", Caught: "an event comes back as it was written", Wrap: given(func(_ *int64, _ *[]cloudsync.Entry, events []cloudsync.Event) {
		for i := range events {
			events[i].Path = strings.ToValidUTF8(events[i].Path, "?")
		}
	})},
	{What: "returns the number of the first", Caught: "an update returns the number of its last event", Wrap: updating(func(f cloudsync.FolderStore) updateFunc {
		return func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
			seq, err := f.Update(ctx, token, entries, events...)
			if len(events) > 0 && err == nil {
				seq -= int64(len(events)) - 1
			}
			return seq, err
		}
	})},
	{What: "numbers in twos", Caught: "events are numbered for each folder, without a gap", Wrap: folderFeed.Each(func(_ context.Context, _ int, e *cloudsync.Event) bool {
		e.Seq *= 2
		return true
	})},
	{What: "cannot be written while it is read", Caught: "a watcher may use the store", Wrap: eachFolder(func(f cloudsync.FolderStore) cloudsync.FolderStore {
		var reading atomic.Int64
		return &bentFolder{
			FolderStore: f,
			update: func(ctx context.Context, token int64, entries []cloudsync.Entry, events ...cloudsync.Event) (int64, error) {
				if reading.Load() > 0 {
					return 0, storage.ErrBusy
				}
				return f.Update(ctx, token, entries, events...)
			},
			watch: func(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
				return provetest.Counted(&reading, f.Watch(ctx, after))
			},
		}
	})},
	{What: "hears nothing of others", Caught: "watch sees the events of other handles", Again: func(cloudsync.Store) cloudsync.Store { return memory.New() }},
}
