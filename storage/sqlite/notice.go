package sqlite

import (
	"context"
	"sync"
	"time"
)

// pollInterval is how often somebody who waits for changes looks for those of
// other processes.
const pollInterval = 200 * time.Millisecond

// watcher sees the commits of other processes. It is used by one goroutine.
type watcher interface {
	// open begins to watch.
	open() error
	// changed reports whether there may be a commit since open or the last call.
	changed() bool
	close()
}

// notice tells those who wait that there was a commit. Its goroutine lives
// while somebody waits, and ends with close.
type notice struct {
	watcher watcher
	stop    chan struct{} // closed by close
	polling sync.WaitGroup
	watch   sync.Mutex // held by the poll that uses watcher

	mu      sync.Mutex
	channel chan struct{} // closed at the next commit
	waiters map[*waiter]struct{}
	polls   bool
	closed  bool
}

// waiter is a caller of next whose context has not ended.
type waiter struct{ forget func() bool }

func newNotice(w watcher) *notice {
	return &notice{
		watcher: w, stop: make(chan struct{}),
		channel: make(chan struct{}), waiters: map[*waiter]struct{}{},
	}
}

// next returns a channel that is closed after the next commit.
func (n *notice) next(ctx context.Context) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return n.channel
	}
	w := &waiter{}
	n.waiters[w] = struct{}{}
	w.forget = context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiters, w)
	})
	if !n.polls {
		n.polls = true
		n.polling.Go(n.poll)
	}
	return n.channel
}

// tell closes the channel. All who waited come again if they want to.
func (n *notice) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.waiters) == 0 {
		return
	}
	n.wake()
	n.channel = make(chan struct{})
}

func (n *notice) wake() {
	close(n.channel)
	for w := range n.waiters {
		w.forget()
	}
	clear(n.waiters)
}

// close wakes everybody for the last time.
func (n *notice) close() {
	n.mu.Lock()
	n.closed = true
	n.wake()
	n.mu.Unlock()
	close(n.stop)
	n.polling.Wait()
}

// poll tells of the commits of other processes until nobody waits. Those who
// are told have until the next tick to come again.
func (n *notice) poll() {
	n.watch.Lock() // the one before may be just closing it
	defer n.watch.Unlock()
	watching := n.watcher.open() == nil
	if watching {
		defer n.watcher.close()
	}
	// Whoever called next before the watch began may have missed a commit.
	n.tell()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.stop:
			return
		}
		if !n.wanted() {
			return
		}
		if !watching || n.watcher.changed() {
			n.tell()
		}
	}
}

// wanted reports whether somebody waits. If not, next starts another poll.
func (n *notice) wanted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.polls = len(n.waiters) > 0
	return n.polls
}

// blind is a watcher that sees nothing, and so tells at every tick.
type blind struct{}

func (blind) open() error   { return nil }
func (blind) changed() bool { return true }
func (blind) close()        {}

// dataVersion watches a file of ours by a connection of its own: SQLite's
// version of the data as a connection sees it changes with the commits of all
// others.
type dataVersion struct {
	connect func() (*session, error)
	place   *place // those who wait are to learn that it is gone
	session *session
	version int64
}

func (d *dataVersion) open() error {
	s, err := d.connect()
	if err != nil {
		return err
	}
	d.session = s
	d.changed()
	return nil
}

func (d *dataVersion) changed() bool {
	before := d.version
	err := d.session.Row("PRAGMA data_version", nil, &d.version)
	return err != nil || d.version != before || d.place.look() != nil
}

func (d *dataVersion) close() { _ = d.session.Close() }
