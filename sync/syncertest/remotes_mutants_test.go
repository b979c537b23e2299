package syncertest_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

// bentRemotes are Remotes that have other methods, those that are not nil.
type bentRemotes struct {
	cloudsync.Remotes
	open   func(ctx context.Context, name string) (cloudsync.Remote, error)
	list   func(ctx context.Context) iter.Seq2[string, error]
	create func(ctx context.Context, name string) error
	remove func(ctx context.Context, name string) error
	again  cloudsync.Remotes
}

func (r *bentRemotes) Open(ctx context.Context, name string) (cloudsync.Remote, error) {
	if r.open == nil {
		return r.Remotes.Open(ctx, name)
	}
	return r.open(ctx, name)
}

func (r *bentRemotes) List(ctx context.Context) iter.Seq2[string, error] {
	if r.list == nil {
		return r.Remotes.List(ctx)
	}
	return r.list(ctx)
}

func (r *bentRemotes) Create(ctx context.Context, name string) error {
	if r.create == nil {
		return r.Remotes.Create(ctx, name)
	}
	return r.create(ctx, name)
}

func (r *bentRemotes) Remove(ctx context.Context, name string) error {
	if r.remove == nil {
		return r.Remotes.Remove(ctx, name)
	}
	return r.remove(ctx, name)
}

// remotesBent are Remotes in memory that are bent like this.
func remotesBent(bend func(r *bentRemotes)) syncertest.RemotesHarness {
	return syncertest.RemotesHarness{
		Open: func(testing.TB) cloudsync.Remotes {
			r := &bentRemotes{Remotes: memory.New().Remotes()}
			r.again = r
			bend(r)
			return r
		},
		Again: func(_ testing.TB, first cloudsync.Remotes) cloudsync.Remotes { return first.(*bentRemotes).again },
	}
}

// deaf is a Remote that takes what is put after its end.
type deaf struct{ cloudsync.Remote }

func (d deaf) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	err := d.Remote.PutIfAbsent(ctx, name, body)
	if errors.Is(err, cloudsync.ErrNotFound) {
		return nil
	}
	return err
}

func TestTheSuiteOfNamedRemotesIsProved(t *testing.T) {
	var mutants []provetest.Mutant
	add := func(what, caught string, bend func(r *bentRemotes)) {
		mutants = append(mutants, provetest.Mutant{What: what, Caught: caught, Cases: remotesBent(bend).Cases()})
	}
	each := func(what, caught string, keep func(n int, name *string) bool) {
		add(what, caught, func(r *bentRemotes) {
			r.list = func(ctx context.Context) iter.Seq2[string, error] { return provetest.Each(r.Remotes.List(ctx), keep) }
		})
	}
	forgives := func(what, caught string, is error) {
		add(what, caught, func(r *bentRemotes) {
			r.create = func(ctx context.Context, name string) error {
				if err := r.Remotes.Create(ctx, name); !errors.Is(err, is) {
					return err
				}
				return nil
			}
		})
	}
	opens := func(what, caught string, open func(r *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error)) {
		add(what, caught, func(r *bentRemotes) {
			r.open = func(ctx context.Context, name string) (cloudsync.Remote, error) { return open(r, ctx, name) }
		})
	}

	forgives("the same again is no error", "what is created is listed and opened", cloudsync.ErrExists)
	each("it lists names of ASCII", "names are of any script, and listed in byte order", func(_ int, name *string) bool {
		return !strings.ContainsFunc(*name, func(r rune) bool { return r > '~' })
	})
	forgives("what is no name is no error", "what is no name is refused", cloudsync.ErrInvalid)
	opens("it finds a name in any case", "names that fold to one are refused",
		func(r *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
			for one := range r.Remotes.List(ctx) {
				if strings.EqualFold(one, name) {
					name = one
				}
			}
			return r.Remotes.Open(ctx, name)
		})
	add("it looks before it creates", "of many creations of a name one wins", func(r *bentRemotes) {
		r.create = func(ctx context.Context, name string) error {
			for one := range r.Remotes.List(ctx) {
				if strings.EqualFold(one, name) {
					return cloudsync.ErrExists
				}
			}
			time.Sleep(time.Millisecond)
			if err := r.Remotes.Create(ctx, name); !errors.Is(err, cloudsync.ErrExists) {
				return err
			}
			return nil
		}
	})
	opens("it creates what it opens", "one that is not there is not found",
		func(r *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
			_ = r.Remotes.Create(ctx, name)
			return r.Remotes.Open(ctx, name)
		})
	opens("all are one", "remotes do not see each other",
		func(r *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
			for one := range r.Remotes.List(ctx) {
				return r.Remotes.Open(ctx, one)
			}
			return r.Remotes.Open(ctx, name)
		})
	add("it opens once", "a remote is closed by itself", func(r *bentRemotes) {
		var opened sync.Map
		r.open = func(ctx context.Context, name string) (cloudsync.Remote, error) {
			if one, is := opened.Load(name); is {
				return one.(cloudsync.Remote), nil
			}
			one, err := r.Remotes.Open(ctx, name)
			if err == nil {
				opened.Store(name, one)
			}
			return one, err
		}
	})
	add("it removes nothing", "what is removed is gone, with everything in it", func(r *bentRemotes) {
		r.remove = func(context.Context, string) error { return nil }
	})
	opens("it takes what comes too late", "nothing is in what is removed while it is open",
		func(r *bentRemotes, ctx context.Context, name string) (cloudsync.Remote, error) {
			one, err := r.Remotes.Open(ctx, name)
			if err != nil {
				return nil, err
			}
			return deaf{one}, nil
		})
	add("it lists once", "a list can be left and read again", func(r *bentRemotes) {
		r.list = func(ctx context.Context) iter.Seq2[string, error] { return provetest.Once(r.Remotes.List(ctx)) }
	})
	each("it lists a page", "a long list is whole", func(n int, _ *string) bool { return n <= 256 })
	add("it does not see the end of a context", "a context that has ended changes and reads nothing", func(r *bentRemotes) {
		r.create = func(ctx context.Context, name string) error {
			return r.Remotes.Create(context.WithoutCancel(ctx), name)
		}
	})
	add("it keeps names in the handle", "other handles see it at once", func(r *bentRemotes) { r.again = memory.New().Remotes() })

	provetest.Prove(t, remotesBent(func(*bentRemotes) {}).Cases(), mutants)
}
