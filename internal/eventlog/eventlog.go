// Package eventlog keeps the newest events of an engine in memory.
package eventlog

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/feed"
)

// Log is a list of events, numbered 1, 2, 3 and so on as they are appended, of
// which the newest are kept. Its exported fields are set before it is used, and
// then left alone; it is safe for concurrent use.
type Log[E any] struct {
	Events    int           // how many are kept at most
	Age       time.Duration // how long they are kept at most
	Compacted error         // wrapped: somebody asks for what is not kept
	// Clone returns what a reader may change. Nil: an event refers to nothing.
	Clone func(E) E

	mu     sync.Mutex
	kept   []dated[E] // without a gap: the last is number last
	last   int64
	closed error
	news   feed.Notice
}

type dated[E any] struct {
	event E
	at    time.Time
}

// Last returns the number of the last event, or 0. The next one gets that which
// follows, so who appends lets nobody else append in between.
func (l *Log[E]) Last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Forgotten returns the number of the last event that is no longer kept, or 0.
func (l *Log[E]) Forgotten() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forgotten()
}

func (l *Log[E]) forgotten() int64 { return l.last - int64(len(l.kept)) }

// Append adds events that happen now, and forgets those that need not be kept.
// They are the log's from then on.
func (l *Log[E]) Append(now time.Time, events ...E) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.kept = append(l.kept, dated[E]{e, now})
	}
	l.last += int64(len(events))
	oldest := now.Add(-l.Age)
	drop := max(0, len(l.kept)-l.Events)
	for drop < len(l.kept) && l.kept[drop].at.Before(oldest) {
		drop++
	}
	clear(l.kept[:drop]) // what they refer to is free before their place is
	l.kept = l.kept[drop:]
	l.news.Set()
}

// Watch yields the events after a number, in order, losing none, and waits for
// more until ctx ends, the log is closed, or the caller breaks. After a negative
// number come those that are not there yet. The last pair has the error. A
// reader has one event at a time, so that a slow one holds nothing up and costs
// nothing.
func (l *Log[E]) Watch(ctx context.Context, after int64) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		after := after // each range begins anew
		for {
			e, at, news, err := l.next(ctx, after)
			switch {
			case err != nil:
				yield(e, err)
				return
			case news != nil:
				select {
				case <-news:
				case <-ctx.Done():
				}
			default:
				if l.Clone != nil {
					e = l.Clone(e)
				}
				if !yield(e, nil) {
					return
				}
			}
			after = at
		}
	}
}

// next returns the event that follows a number, and its number. If there is
// none yet it returns where to wait, and the number to go on from.
func (l *Log[E]) next(ctx context.Context, after int64) (e E, at int64, news <-chan struct{}, err error) {
	if err := ctx.Err(); err != nil {
		return e, after, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.forgotten()
	switch {
	case l.closed != nil:
		return e, after, nil, l.closed
	case after < 0 || after == l.last:
		return e, l.last, l.news.Wait(), nil
	case after < first || after > l.last:
		return e, after, nil, fmt.Errorf("%w: event %d", l.Compacted, after+1)
	}
	return l.kept[after-first].event, after + 1, nil, nil
}

// Close forgets the events, and ends every Watch with err.
func (l *Log[E]) Close(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.kept = err, nil
	l.news.Set()
}
