package syncertest_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// bentRemotes are Remotes some of whose methods are replaced.
type bentRemotes struct {
	cloudsync.Remotes
	db     *memory.DB
	open   func(ctx context.Context, name string) (cloudsync.Remote, error)
	list   func(ctx context.Context) iter.Seq2[string, error]
	create func(ctx context.Context, name string) error
	remove func(ctx context.Context, name string) error
}

func (b *bentRemotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	if b.open == nil {
		return b.Remotes.Open(ctx, name)
	}
	return b.open(ctx, name)
}

func (b *bentRemotes) List(ctx context.Context) iter.Seq2[string, error] {
	if b.list == nil {
		return b.Remotes.List(ctx)
	}
	return b.list(ctx)
}

func (b *bentRemotes) Create(ctx context.Context, name string) error {
	if b.create == nil {
		return b.Remotes.Create(ctx, name)
	}
	return b.create(ctx, name)
}

func (b *bentRemotes) Remove(ctx context.Context, name string) error {
	if b.remove == nil {
		return b.Remotes.Remove(ctx, name)
	}
	return b.remove(ctx, name)
}

// remotesHarness is of Remotes in memory, bent.
func remotesHarness(bend func(b *bentRemotes), again func() cloudsync.Remotes) syncertest.RemotesHarness {
	return syncertest.RemotesHarness{
		Open: func(testing.TB) cloudsync.Remotes {
			db := memory.New()
			b := &bentRemotes{Remotes: db.Remotes(), db: db}
			if bend != nil {
				bend(b)
			}
			return b
		},
		Again: func(_ testing.TB, first cloudsync.Remotes) cloudsync.Remotes {
			if again != nil {
				return again()
			}
			return first
		},
	}
}

func TestEveryCaseOfRunRemotesCatchesABrokenEngine(t *testing.T) {
	var mutants []provetest.Mutant
	add := func(what, caught string, bend func(b *bentRemotes)) {
		mutants = append(mutants, provetest.Mutant{What: what, Caught: caught, Cases: remotesHarness(bend, nil).Cases()})
	}
	creating := func(what, caught string, f func(b *bentRemotes, ctx context.Context, name string) error) {
		add(what, caught, func(b *bentRemotes) {
			b.create = func(ctx context.Context, name string) error { return f(b, ctx, name) }
		})
	}
	opening := func(what, caught string, f func(b *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error)) {
		add(what, caught, func(b *bentRemotes) {
			b.open = func(ctx context.Context, name string) (cloudsync.Remote, error) { return f(b, ctx, name) }
		})
	}
	listing := func(what, caught string, f func(iter.Seq2[string, error]) iter.Seq2[string, error]) {
		add(what, caught, func(b *bentRemotes) {
			b.list = func(ctx context.Context) iter.Seq2[string, error] { return f(b.Remotes.List(ctx)) }
		})
	}

	creating("what is there is created again", "what is created is listed and opened", func(b *bentRemotes, ctx context.Context, name string) error {
		if err := b.Remotes.Create(ctx, name); !errors.Is(err, cloudsync.ErrExists) {
			return err
		}
		return nil
	})
	creating("one script will do", "names are of any script, and listed in byte order", func(b *bentRemotes, ctx context.Context, name string) error {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789 ") != "" && ctx.Err() == nil {
			return cloudsync.ErrInvalid
		}
		return b.Remotes.Create(ctx, name)
	})
	creating("names are cut", "what is no name is refused", func(b *bentRemotes, ctx context.Context, name string) error {
		return b.Remotes.Create(ctx, name[:min(len(name), 63)])
	})
	creating("only ASCII folds", "names that fold to one are refused", func(b *bentRemotes, ctx context.Context, name string) error {
		err := b.Remotes.Create(ctx, name)
		if errors.Is(err, cloudsync.ErrExists) && strings.ContainsFunc(name, func(r rune) bool { return r > 127 }) {
			return nil
		}
		return err
	})
	opening("it opens by any case", "names that fold to one are refused", func(b *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
		for other := range b.Remotes.List(ctx) {
			if strings.EqualFold(name, other) {
				name = other
			}
		}
		return b.Remotes.Open(ctx, name)
	})
	creating("it looks first", "of many creations of a name one wins", func(b *bentRemotes, ctx context.Context, name string) error {
		for other, err := range b.Remotes.List(ctx) {
			if err == nil && strings.EqualFold(name, other) {
				return cloudsync.ErrExists
			}
		}
		time.Sleep(time.Millisecond)
		if err := b.Remotes.Create(ctx, name); !errors.Is(err, cloudsync.ErrExists) {
			return err
		}
		return nil
	})
	opening("what is opened is there", "one that is not there is not found", func(b *bentRemotes, _ context.Context, name string) (cloudsync.Remote, error) {
		return b.db.Remote(name), nil
	})
	opening("all are one", "remotes do not see each other", func(b *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
		if _, err := b.Remotes.Open(ctx, name); err != nil {
			return nil, err
		}
		return b.db.Remote("one"), nil
	})
	add("all handles are one", "a remote is closed by itself", func(b *bentRemotes) {
		handles := map[string]cloudsync.Remote{}
		b.open = func(ctx context.Context, name string) (r cloudsync.Remote, err error) {
			if handles[name] == nil {
				if handles[name], err = b.Remotes.Open(ctx, name); err != nil {
					return nil, err
				}
			}
			return handles[name], nil
		}
	})
	add("what it has stays", "what is removed is gone, with everything in it", func(b *bentRemotes) {
		removed := map[string]bool{}
		b.remove = func(ctx context.Context, name string) error { removed[name] = true; return ctx.Err() }
		b.create = func(ctx context.Context, name string) error {
			if removed[name] {
				delete(removed, name)
				return nil
			}
			return b.Remotes.Create(ctx, name)
		}
		b.open = func(ctx context.Context, name string) (cloudsync.Remote, error) {
			if removed[name] {
				return nil, cloudsync.ErrNotFound
			}
			return b.Remotes.Open(ctx, name)
		}
		b.list = func(ctx context.Context) iter.Seq2[string, error] {
			return provetest.Each(b.Remotes.List(ctx), func(_ int, name *string) bool { return !removed[*name] })
		}
	})
	opening("a handle is of whatever has the name", "nothing is in what is removed while it is open",
		func(b *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
			if _, err := b.Remotes.Open(ctx, name); err != nil {
				return nil, err
			}
			return b.db.Remote(name), nil
		})
	listing("it lists once", "a list can be left and read again", provetest.Once[string])
	listing("it lists a page", "a long list is whole", func(list iter.Seq2[string, error]) iter.Seq2[string, error] {
		return provetest.Each(list, func(n int, _ *string) bool { return n <= 256 })
	})
	listing("an error ends it silently", "a context that has ended changes and reads nothing", provetest.Cut[string])
	add("it creates after the end", "a context that has ended changes and reads nothing", func(b *bentRemotes) {
		b.create = func(ctx context.Context, name string) error {
			return errors.Join(b.Remotes.Create(context.WithoutCancel(ctx), name), ctx.Err())
		}
	})
	mutants = append(mutants, provetest.Mutant{
		What: "another handle has others", Caught: "other handles see it at once",
		Cases: remotesHarness(nil, func() cloudsync.Remotes { return memory.New().Remotes() }).Cases(),
	})
	provetest.Prove(t, remotesHarness(nil, nil).Cases(), mutants)
}
