package firmwaretest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/provetest"
)

// store is a Store whose devices are wrapped, each once.
type store struct {
	firmware.Store
	name func(string) string
	wrap func(firmware.DeviceStore) firmware.DeviceStore

	mu      sync.Mutex
	devices map[string]firmware.DeviceStore
}

func (s *store) Firmware(name string) firmware.DeviceStore {
	if s.name != nil {
		name = s.name(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.devices[name] == nil {
		s.devices[name] = s.wrap(s.Store.Firmware(name))
	}
	return s.devices[name]
}

// each wraps every device.
func each(wrap func(firmware.DeviceStore) firmware.DeviceStore) func(firmware.Store) firmware.Store {
	return func(s firmware.Store) firmware.Store {
		return &store{Store: s, wrap: wrap, devices: map[string]firmware.DeviceStore{}}
	}
}

// named calls the devices by other names.
func named(name func(string) string) func(firmware.Store) firmware.Store {
	return func(s firmware.Store) firmware.Store {
		same := func(d firmware.DeviceStore) firmware.DeviceStore { return d }
		return &store{Store: s, name: name, wrap: same, devices: map[string]firmware.DeviceStore{}}
	}
}

// device is a DeviceStore some of whose methods are replaced.
type device struct {
	firmware.DeviceStore
	load    loadFunc
	save    saveFunc
	get     getFunc
	history historyFunc
	watch   watchFunc
}

type (
	loadFunc    = func(ctx context.Context) (firmware.Record, error)
	saveFunc    = func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error)
	getFunc     = func(ctx context.Context, id string) (firmware.Run, error)
	historyFunc = func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error]
	watchFunc   = func(ctx context.Context, after int64) iter.Seq2[firmware.Event, error]
)

func (d *device) Load(ctx context.Context) (firmware.Record, error) {
	if d.load == nil {
		return d.DeviceStore.Load(ctx)
	}
	return d.load(ctx)
}

func (d *device) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	if d.save == nil {
		return d.DeviceStore.Save(ctx, r, events...)
	}
	return d.save(ctx, r, events...)
}

func (d *device) Get(ctx context.Context, id string) (firmware.Run, error) {
	if d.get == nil {
		return d.DeviceStore.Get(ctx, id)
	}
	return d.get(ctx, id)
}

func (d *device) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	if d.history == nil {
		return d.DeviceStore.History(ctx, q)
	}
	return d.history(ctx, q)
}

func (d *device) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	if d.watch == nil {
		return d.DeviceStore.Watch(ctx, after)
	}
	return d.watch(ctx, after)
}

func loading(f func(firmware.DeviceStore) loadFunc) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore { return &device{DeviceStore: d, load: f(d)} })
}

func saving(f func(firmware.DeviceStore) saveFunc) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore { return &device{DeviceStore: d, save: f(d)} })
}

func getting(f func(firmware.DeviceStore) getFunc) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore { return &device{DeviceStore: d, get: f(d)} })
}

func listing(f func(firmware.DeviceStore) historyFunc) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore { return &device{DeviceStore: d, history: f(d)} })
}

// feed breaks the Watch.
var feed = provetest.Feed[firmware.Store, firmware.Event]{
	Watch: func(s firmware.Store, ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
		return s.Firmware("serial 1").Watch(ctx, after)
	},
	Bad: func(f func(firmware.Store) provetest.WatchOf[firmware.Event]) func(firmware.Store) firmware.Store {
		return func(s firmware.Store) firmware.Store {
			return each(func(d firmware.DeviceStore) firmware.DeviceStore {
				one := &store{Store: s, name: func(string) string { return "" }, devices: map[string]firmware.DeviceStore{"": d}}
				return &device{DeviceStore: d, watch: f(one)}
			})(s)
		}
	},
	Compacted: firmware.ErrCompacted,
}

// given changes what is given to Save.
func given(change func(*firmware.Record, []firmware.Event)) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			r, events = r.Clone(), slices.Clone(events)
			change(&r, events)
			return d.Save(ctx, r, events...)
		}
	})
}

// ofRun changes the run that is given to Save.
func ofRun(change func(*firmware.Run)) func(firmware.Store) firmware.Store {
	return given(func(r *firmware.Record, _ []firmware.Event) {
		if r.Run != nil {
			change(r.Run)
		}
	})
}

// texted has every text of a person folded.
func texted(fold func(string) string) func(firmware.Store) firmware.Store {
	return given(func(r *firmware.Record, events []firmware.Event) {
		r.Info = fold(r.Info)
		for i := range events {
			events[i].Message = fold(events[i].Message)
		}
	})
}

// answered changes what Save returns.
func answered(change func(given firmware.Record, answer *firmware.Record)) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			answer, err := d.Save(ctx, r, events...)
			if err == nil {
				change(r, &answer)
			}
			return answer, err
		}
	})
}

// answeredRun changes the run that Save returns.
func answeredRun(change func(given firmware.Run, answer *firmware.Run)) func(firmware.Store) firmware.Store {
	return answered(func(r firmware.Record, answer *firmware.Record) {
		if r.Run != nil {
			change(*r.Run, answer.Run)
		}
	})
}

// after changes what Load returns by what was saved before.
func after(change func(saved []firmware.Record, loaded *firmware.Record)) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore {
		var saved []firmware.Record
		return &device{
			DeviceStore: d,
			save: func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
				answer, err := d.Save(ctx, r, events...)
				if err == nil {
					saved = append(saved, answer.Clone())
				}
				return answer, err
			},
			load: func(ctx context.Context) (firmware.Record, error) {
				r, err := d.Load(ctx)
				if err == nil {
					change(saved, &r)
				}
				return r, err
			},
		}
	})
}

// shared returns what it was given, or what it has, not copies.
func shared(arguments bool) func(firmware.Store) firmware.Store {
	return each(func(d firmware.DeviceStore) firmware.DeviceStore {
		var have firmware.Record
		return &device{
			DeviceStore: d,
			save: func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
				answer, err := d.Save(ctx, r, events...)
				if err != nil {
					return answer, err
				}
				if have = answer; arguments {
					run := *answer.Run
					run.Pulled, run.Release = r.Run.Pulled, r.Run.Release
					have = r
					have.Rev, have.Run = answer.Rev, &run
				}
				return answer, nil
			},
			load: func(context.Context) (firmware.Record, error) { return have, nil },
		}
	})
}

// forgiving answers a save that is refused with err as if it had been done.
func forgiving(err error) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			answer, got := d.Save(ctx, r, events...)
			if errors.Is(got, err) {
				return r, nil
			}
			return answer, got
		}
	})
}

// remains keeps something of a save that is refused.
func remains(write func(ctx context.Context, d firmware.DeviceStore, r firmware.Record, events []firmware.Event)) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			answer, err := d.Save(ctx, r, events...)
			if err != nil {
				write(ctx, d, r, events)
			}
			return answer, err
		}
	})
}

// revised gives a save the rev that a rule makes of the stored one and its own.
func revised(rev func(stored, given int64) int64) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			if stored, err := d.Load(ctx); err == nil {
				r.Rev = rev(stored.Rev, r.Rev)
			}
			return d.Save(ctx, r, events...)
		}
	})
}

// lookFirst saves over whatever rev is stored once it has looked at it.
func lookFirst(d firmware.DeviceStore) saveFunc {
	return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
		stored, err := d.Load(ctx)
		if err != nil || stored.Rev != r.Rev {
			return firmware.Record{}, errors.Join(err, firmware.ErrStale)
		}
		time.Sleep(time.Millisecond)
		if stored, err = d.Load(ctx); err != nil {
			return firmware.Record{}, err
		}
		r.Rev = stored.Rev
		return d.Save(ctx, r, events...)
	}
}

// fenced refuses tokens by a rule of its own.
func fenced(refuse func(greatest, token int64) bool) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		var mu sync.Mutex
		var greatest int64
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			if refuse(greatest, r.Token) {
				return firmware.Record{}, firmware.ErrStale
			}
			greatest = max(greatest, r.Token)
			return d.Save(ctx, r, events...)
		}
	})
}

// requests finds the earlier run of a request by a rule of its own.
func requests(earlier func(first, r firmware.Run) bool) func(firmware.Store) firmware.Store {
	return saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			if r.Run == nil {
				return d.Save(ctx, r, events...)
			}
			for first, err := range d.History(ctx, firmware.Query{}) {
				if err == nil && first.ID != r.Run.ID && earlier(first, *r.Run) {
					return firmware.Record{}, firmware.ErrExists
				}
			}
			r = r.Clone()
			if _, err := d.Get(ctx, r.Run.ID); err != nil {
				r.Run.Request.By.RequestID = ""
			}
			return d.Save(ctx, r, events...)
		}
	})
}

// listed changes a list as a whole.
func listed(change func(q firmware.Query, all []firmware.Run) []firmware.Run) func(firmware.Store) firmware.Store {
	return listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			return func(yield func(firmware.Run, error) bool) {
				var all []firmware.Run
				for r, err := range d.History(ctx, firmware.Query{}) {
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
func querying(change func(*firmware.Query)) func(firmware.Store) firmware.Store {
	return listing(func(d firmware.DeviceStore) historyFunc {
		return func(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
			change(&q)
			return d.History(ctx, q)
		}
	})
}
