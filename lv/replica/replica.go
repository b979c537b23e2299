package replica

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// Config configures a Replica. A zero field means its documented default.
type Config struct {
	// URL is where the server has the routes, such as
	// "https://example.com/upkeep/v1/lv". Required.
	URL   string
	Table lv.TableID // required
	// File is where the last state is kept. Required; its folder must exist,
	// and no other replica may use it. If somebody deletes or changes it while
	// the replica runs, it is written again.
	File string
	// Authorize adds credentials to a request. Default: none.
	Authorize func(*http.Request)
	// Client sends the requests. It must have no Timeout, because the feed
	// never ends. Default: http.DefaultClient.
	Client *http.Client
	// SaveEvery is how long a change may wait before it is in the file. What is
	// not yet there is asked of the server again. Default 10 seconds.
	SaveEvery time.Duration
	// Logger receives a line when the server goes away, when why it is away
	// changes, and when it is back, and when its snapshot is read anew because
	// its events cannot lead on from what readers see. Default: slog.Default().
	Logger *slog.Logger
}

// Replica is a table of a server, to read. It is safe for concurrent use.
type Replica struct {
	config  Config
	source  *source
	service *lv.Service
	table   *lv.Table

	mu     sync.Mutex
	status Status
	kept   fs.FileInfo // the file as it was read or written; nil: neither yet
}

// Status says how fresh a replica is.
type Status struct {
	Connected bool      // whether the feed is open
	Since     time.Time // since when that is so
	Seq       int64     // the last event of the feed that readers see
}

// New returns a replica. It starts nothing and asks nobody: the first read
// takes the file, or the server's state if there is none.
func New(c Config) (*Replica, error) {
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Authorize == nil {
		c.Authorize = func(*http.Request) {}
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	base, err := url.Parse(c.URL)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("%w: Config.URL is no address of a server", lv.ErrInvalid)
	case c.Table.App == "" || c.Table.Schema == "":
		return nil, fmt.Errorf("%w: Config.Table is required", lv.ErrInvalid)
	case c.File == "":
		return nil, fmt.Errorf("%w: Config.File is required", lv.ErrInvalid)
	case c.Client.Timeout != 0:
		return nil, fmt.Errorf("%w: Config.Client has a timeout, which would end the feed", lv.ErrInvalid)
	case c.SaveEvery < 0:
		return nil, fmt.Errorf("%w: Config.SaveEvery is negative", lv.ErrInvalid)
	}
	r := &Replica{config: c, status: Status{Since: time.Now()}}
	r.config.Logger = c.Logger.With("app", c.Table.App, "schema", c.Table.Schema)
	r.source = &source{replica: r, base: base, maxEvent: maxEvent}
	r.service, err = lv.New(lv.Config{Reader: r.source, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	r.table = r.service.Table(c.Table.App, c.Table.Schema)
	return r, nil
}

// Table returns the table. What Production and grays show, strategies
// included, can be read from it, and Subscribe of lv.Typed follows it. Writes
// are lv.ErrReadOnly, and what needs a store, such as working rows and history,
// is errors.ErrUnsupported.
func (r *Replica) Table() *lv.Table { return r.table }

// Status returns how fresh the replica is.
func (r *Replica) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// connected notes whether the feed is open, and returns whether it was.
func (r *Replica) connected(is bool) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was = r.status.Connected
	if was != is {
		r.status.Connected, r.status.Since = is, time.Now()
	}
	return was
}

func (r *Replica) seen(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Seq = seq // less than before if the server has begun anew
}

// Run follows the server and keeps the file, until ctx ends; it returns the
// cause. It goes on whatever happens to the server.
func (r *Replica) Run(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { r.keep(ctx) })
	err := r.service.Run(ctx)
	work.Wait()
	return err
}

// keep saves what has changed from time to time, and once more at the end. A
// file that somebody else has deleted or changed is written again.
func (r *Replica) keep(ctx context.Context) {
	tick := time.NewTicker(r.config.SaveEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		if !r.source.changed.Swap(false) && r.intact() {
			continue
		}
		if err := r.save(ctx); err != nil {
			r.source.changed.Store(true)
			r.config.Logger.ErrorContext(ctx, "lv: replica not saved", "file", r.config.File, "err", err)
		}
	}
}
