package updatetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// journal is a Journal some of whose methods are replaced.
type journal struct {
	update.Journal
	create  writeFunc
	save    writeFunc
	get     getFunc
	history historyFunc
	watch   watchFunc
}

type (
	writeFunc   = func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error)
	getFunc     = func(ctx context.Context, id string) (update.Run, error)
	historyFunc = func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error]
	watchFunc   = func(ctx context.Context, after int64) iter.Seq2[update.Event, error]
)

func (j *journal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if j.create == nil {
		return j.Journal.Create(ctx, r, events...)
	}
	return j.create(ctx, r, events...)
}

func (j *journal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if j.save == nil {
		return j.Journal.Save(ctx, r, events...)
	}
	return j.save(ctx, r, events...)
}

func (j *journal) Get(ctx context.Context, id string) (update.Run, error) {
	if j.get == nil {
		return j.Journal.Get(ctx, id)
	}
	return j.get(ctx, id)
}

func (j *journal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	if j.history == nil {
		return j.Journal.History(ctx, q)
	}
	return j.history(ctx, q)
}

func (j *journal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	if j.watch == nil {
		return j.Journal.Watch(ctx, after)
	}
	return j.watch(ctx, after)
}

var (
	badCreate  = provetest.Bad(func(j update.Journal, f writeFunc) update.Journal { return &journal{Journal: j, create: f} })
	badSave    = provetest.Bad(func(j update.Journal, f writeFunc) update.Journal { return &journal{Journal: j, save: f} })
	badGet     = provetest.Bad(func(j update.Journal, f getFunc) update.Journal { return &journal{Journal: j, get: f} })
	badHistory = provetest.Bad(func(j update.Journal, f historyFunc) update.Journal { return &journal{Journal: j, history: f} })
	badWatch   = provetest.Bad(func(j update.Journal, f watchFunc) update.Journal { return &journal{Journal: j, watch: f} })
)

// feed breaks the Watch.
var feed = provetest.Feed[update.Journal, update.Event]{
	Watch: update.Journal.Watch, Bad: badWatch, Compacted: update.ErrCompacted,
}

// given changes what is given to Create and Save.
func given(change func(*update.Run, []update.Event)) func(update.Journal) update.Journal {
	return func(j update.Journal) update.Journal {
		with := func(write writeFunc) writeFunc {
			return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
				r, events = r.Clone(), slices.Clone(events)
				change(&r, events)
				return write(ctx, r, events...)
			}
		}
		return &journal{Journal: j, create: with(j.Create), save: with(j.Save)}
	}
}

// texted has every text of a person folded.
func texted(fold func(string) string) func(update.Journal) update.Journal {
	return given(func(r *update.Run, events []update.Event) {
		r.Reason = fold(r.Reason)
		for i := range events {
			events[i].Message = fold(events[i].Message)
		}
	})
}

// answered changes what Create and Save return.
func answered(change func(given update.Run, answer *update.Run)) func(update.Journal) update.Journal {
	return func(j update.Journal) update.Journal {
		with := func(write writeFunc) writeFunc {
			return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
				answer, err := write(ctx, r, events...)
				if err == nil {
					change(r, &answer)
				}
				return answer, err
			}
		}
		return &journal{Journal: j, create: with(j.Create), save: with(j.Save)}
	}
}

// shared returns what it was given and what it has, not copies.
func shared(arguments bool) func(update.Journal) update.Journal {
	return func(j update.Journal) update.Journal {
		have := make(map[string]update.Run)
		with := func(write writeFunc) writeFunc {
			return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
				answer, err := write(ctx, r, events...)
				if err != nil {
					return answer, err
				}
				have[r.ID] = answer
				if arguments {
					r.Rev, r.Seq, r.CreatedAt, r.UpdatedAt, r.EndedAt = answer.Rev, answer.Seq, answer.CreatedAt, answer.UpdatedAt, answer.EndedAt
					have[r.ID] = r
				}
				return answer, nil
			}
		}
		return &journal{
			Journal: j, create: with(j.Create), save: with(j.Save),
			get: func(_ context.Context, id string) (update.Run, error) { return have[id], nil },
		}
	}
}

// forgiving answers a write that is refused with err as if it had been done.
func forgiving(j update.Journal, err error) update.Journal {
	with := func(write writeFunc) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, got := write(ctx, r, events...)
			if errors.Is(got, err) {
				return r, nil
			}
			return answer, got
		}
	}
	return &journal{Journal: j, create: with(j.Create), save: with(j.Save)}
}

// fenced refuses tokens by a rule of its own.
func fenced(refuse func(greatest map[string]int64, r update.Run) bool) func(update.Journal) update.Journal {
	return func(j update.Journal) update.Journal {
		var mu sync.Mutex
		greatest := make(map[string]int64)
		with := func(write writeFunc) writeFunc {
			return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
				mu.Lock()
				defer mu.Unlock()
				if refuse(greatest, r) {
					return update.Run{}, update.ErrStale
				}
				greatest[r.Item] = max(greatest[r.Item], r.Token)
				return write(ctx, r, events...)
			}
		}
		return &journal{Journal: j, create: with(j.Create), save: with(j.Save)}
	}
}

// lookFirst saves over whatever rev is stored once it has looked at it.
func lookFirst(j update.Journal) writeFunc {
	return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
		stored, err := j.Get(ctx, r.ID)
		if err != nil || stored.Rev != r.Rev {
			return update.Run{}, errors.Join(err, update.ErrStale)
		}
		time.Sleep(time.Millisecond)
		if stored, err = j.Get(ctx, r.ID); err != nil {
			return update.Run{}, err
		}
		r.Rev = stored.Rev
		return j.Save(ctx, r, events...)
	}
}

// requests finds the earlier run of a request by a rule of its own, and only
// once it has looked.
func requests(earlier func(first, r update.Run) bool) func(update.Journal) update.Journal {
	return badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			for first, err := range j.History(ctx, update.Query{}) {
				if err == nil && earlier(first, r) {
					return first, update.ErrExists
				}
			}
			time.Sleep(time.Millisecond)
			r.Request.By.RequestID = ""
			return j.Create(ctx, r, events...)
		}
	})
}

// listed changes a list as a whole.
func listed(change func(q update.Query, all []update.Run) []update.Run) func(update.Journal) update.Journal {
	return badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			return func(yield func(update.Run, error) bool) {
				var all []update.Run
				for r, err := range j.History(ctx, update.Query{}) {
					if err != nil {
						yield(r, err)
						return
					}
					all = append(all, r)
				}
				for _, r := range change(q, all) {
					if !yield(r, nil) {
						return
					}
				}
			}
		}
	})
}

// querying changes the question.
func querying(change func(*update.Query)) func(update.Journal) update.Journal {
	return badHistory(func(j update.Journal) historyFunc {
		return func(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
			change(&q)
			return j.History(ctx, q)
		}
	})
}

func anotherJournal(update.Journal) update.Journal { return memory.New().Journal() }
