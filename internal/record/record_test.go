package record_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/record"
)

var (
	errStale   = errors.New("stale")
	errInvalid = errors.New("invalid")
	errDown    = errors.New("down")
)

// account is a record: its owner counts, others wish that it stops.
type account struct {
	count, rev, token int64
	wish              string
	by                int
}

// shelf keeps an account, and fences its writers by token.
type shelf struct {
	mu       sync.Mutex
	kept     account
	greatest int64 // token
	events   []string
	loads    int

	down  time.Time                     // nothing works until then
	asked []time.Duration               // when something was tried, since began
	began time.Time                     //
	save  func(took func() error) error // in the place of a save
}

func (s *shelf) fails(ctx context.Context) error {
	s.asked = append(s.asked, time.Since(s.began))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if time.Now().Before(s.down) {
		return errDown
	}
	return nil
}

func (s *shelf) store() *record.Store[account, string] {
	return &record.Store[account, string]{
		Load: func(ctx context.Context) (account, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.loads++
			return s.kept, s.fails(ctx)
		},
		Save: func(ctx context.Context, a account, events ...string) (account, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.fails(ctx); err != nil {
				return account{}, err
			}
			take := func() error { return s.take(&a, events) }
			if instead := s.save; instead != nil {
				s.save = nil
				return a, instead(take)
			}
			return a, take()
		},
		Rev:   func(a account) int64 { return a.rev },
		Same:  func(stored, sent account) bool { sent.rev++; return stored == sent },
		Stale: errStale,
		Final: []error{errInvalid},
	}
}

func (s *shelf) take(a *account, events []string) error {
	if a.rev != s.kept.rev || a.token < s.greatest {
		return fmt.Errorf("%w: revision %d", errStale, a.rev)
	}
	a.rev++
	s.kept, s.greatest = *a, a.token
	s.events = append(s.events, events...)
	return nil
}

// add is a change that counts once more.
func add(a *account) ([]string, error) {
	a.count++
	return []string{fmt.Sprintf("count %d", a.count)}, nil
}

func TestAChangeIsWrittenWithItsEvents(t *testing.T) {
	s := &shelf{}
	a, err := s.store().Amend(t.Context(), nil, add)
	require.NoError(t, err)
	require.Equal(t, account{count: 1, rev: 1}, a)
	require.Equal(t, a, s.kept)
	require.Equal(t, []string{"count 1"}, s.events)
}

func TestWhoWroteLastNeedNotLoad(t *testing.T) {
	s := &shelf{}
	var known account
	for range 3 {
		a, err := s.store().Amend(t.Context(), &known, add)
		require.NoError(t, err)
		known = a
	}
	require.Equal(t, account{count: 3, rev: 3}, s.kept)
	require.Zero(t, s.loads)
}

func TestASaveThatTookIsNotMadeTwiceThoughItsReplyWasLost(t *testing.T) {
	for name, known := range map[string]*account{"loaded": nil, "known": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{}
				s.save = func(take func() error) error { return errors.Join(take(), errDown) }
				a, err := s.store().Amend(t.Context(), known, add)
				require.NoError(t, err)
				require.Equal(t, account{count: 1, rev: 1}, a)
				require.Equal(t, []string{"count 1"}, s.events)
			})
		})
	}
}

func TestASaveThatArrivesAfterTheNextOneWasSentIsNotMadeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.save = func(late func() error) error {
			s.save = func(take func() error) error { return errors.Join(late(), take()) }
			return errDown
		}
		a, err := s.store().Amend(t.Context(), nil, add)
		require.NoError(t, err)
		require.Equal(t, account{count: 1, rev: 1}, a)
		require.Equal(t, []string{"count 1"}, s.events)
	})
}

func TestAWishOfSomebodyElseIsSeenAndKept(t *testing.T) {
	s := &shelf{}
	known := account{}
	s.save = func(take func() error) error {
		s.kept.wish, s.kept.rev = "stop", s.kept.rev+1
		return take()
	}
	var seen []string
	a, err := s.store().Amend(t.Context(), &known, func(a *account) ([]string, error) {
		seen = append(seen, a.wish)
		return add(a)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"", "stop"}, seen)
	require.Equal(t, account{count: 1, rev: 2, wish: "stop"}, a)
	require.Equal(t, []string{"count 1"}, s.events)
}

func TestTheSameRevisionTwiceRefusedIsOfAnotherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{kept: account{token: 1}, greatest: 2}
		began := time.Now()
		asked := 0
		_, err := s.store().Amend(t.Context(), nil, func(a *account) ([]string, error) {
			if asked++; asked > 9 {
				return nil, errInvalid
			}
			return add(a)
		})
		require.ErrorIs(t, err, errStale)
		require.Equal(t, 1, asked)
		require.Equal(t, account{token: 1}, s.kept)
		require.Empty(t, s.events)
		require.Zero(t, time.Since(began), "waiting would not help")
	})
}

func TestAnErrorOfAChangeEndsItAsItIs(t *testing.T) {
	for _, refusal := range []error{errDown, errStale, errInvalid} {
		s := &shelf{kept: account{count: 7}}
		a, err := s.store().Amend(t.Context(), nil, func(*account) ([]string, error) { return nil, refusal })
		require.Equal(t, refusal, err)
		require.Equal(t, account{count: 7}, a)
		require.Equal(t, 1, s.loads)
	}
	s := &shelf{kept: account{count: 7}}
	a, err := s.store().Amend(t.Context(), nil, func(*account) ([]string, error) { return []string{"none"}, record.ErrSame })
	require.NoError(t, err, "there was nothing to write")
	require.Equal(t, account{count: 7}, a)
	require.Equal(t, account{count: 7}, s.kept)
	require.Empty(t, s.events)
}

func TestAStoreThatIsDownForAWhileIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		down   time.Duration
		after  time.Duration
		failed bool
	}{
		{"a moment", time.Millisecond, 10 * time.Millisecond, false},
		{"seconds", 2 * time.Second, 3640 * time.Millisecond, false},
		{"too long", time.Minute, 3640 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{began: time.Now(), down: time.Now().Add(c.down)}
				a, err := s.store().Amend(t.Context(), nil, add)
				require.Equal(t, c.after, time.Since(s.began))
				require.LessOrEqual(t, len(s.asked), 9, "it is asked ever less often")
				if c.failed {
					require.ErrorIs(t, err, record.ErrUnwritten)
					require.ErrorIs(t, err, errDown)
					require.Empty(t, s.events)
					return
				}
				require.NoError(t, err)
				require.Equal(t, account{count: 1, rev: 1}, a)
				require.Equal(t, []string{"count 1"}, s.events)
			})
		})
	}
}

func TestWhatFailsForGoodIsNotTriedAgain(t *testing.T) {
	s := &shelf{}
	s.save = func(func() error) error { return errInvalid }
	_, err := s.store().Amend(t.Context(), nil, add)
	require.Equal(t, errInvalid, err)
	for _, final := range []error{errInvalid, errStale} {
		tries := 0
		require.Equal(t, final, s.store().Try(t.Context(), func(context.Context) error { tries++; return final }))
		require.Equal(t, 1, tries)
	}
}

func TestTheEndOfTheContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine := errors.New("mine")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(mine) })
		s := &shelf{began: time.Now(), down: time.Now().Add(time.Hour)}
		_, err := s.store().Amend(ctx, nil, add)
		require.Equal(t, mine, err)
		require.Equal(t, time.Second, time.Since(s.began))
		asked := len(s.asked)
		_, err = s.store().Amend(ctx, &account{}, add)
		require.Equal(t, mine, err)
		require.Len(t, s.asked, asked, "there is nothing to ask any more")
	})
}

func TestManyWritersLoseNothingOfEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		var all sync.WaitGroup
		for by := range 8 {
			all.Go(func() {
				var known account
				for range 50 {
					a, err := s.store().Amend(context.Background(), &known, func(a *account) ([]string, error) {
						a.by = by
						return add(a)
					})
					if err != nil {
						t.Error(err)
						return
					}
					known = a
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 400, s.kept.count)
		require.EqualValues(t, 400, s.kept.rev)
		require.Len(t, s.events, 400)
	})
}
