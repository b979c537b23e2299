//go:build unix

package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// publishers is a store whose rows have two versions each, between which their
// pointers go to and fro.
type publishers struct {
	versions [][2]lv.VersionID
	next     atomic.Int64
}

func newPublishers(b *testing.B, s lv.VersionStore) *publishers {
	p := &publishers{versions: make([][2]lv.VersionID, 1000)}
	var rows []string
	for i := range p.versions {
		rows = append(rows, fmt.Sprint("row ", i))
	}
	for v := range 2 {
		for i, saved := range save(b, s, fmt.Sprint(v), rows...) {
			p.versions[i][v] = saved.ID
		}
	}
	return p
}

// turn returns a row and the version that it does not point at.
func (p *publishers) turn() (row string, to lv.VersionID) {
	k := int(p.next.Add(1) - 1)
	n := len(p.versions)
	return fmt.Sprint("row ", k%n), p.versions[k%n][k/n%2]
}

// rate returns how often publish is done in a second by so many.
func rate(b *testing.B, callers int, publish func() error) float64 {
	began := time.Now()
	var done atomic.Int64
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for time.Since(began) < time.Second {
				if err := publish(); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	work.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

// byHand runs the statements of a publication through pgx, those that write in
// one batch.
type byHand struct {
	pool       *pgxpool.Pool
	statements []string // as the engine runs them
}

func newByHand(b *testing.B, db *postgres.DB, pool *pgxpool.Pool, p *publishers) *byHand {
	s := &spy{DB: db.Engine()}
	store := sqlstore.NewVersions(s, storage.Retention{})
	for range 2 { // the first looks for the table and for old events
		s.statements = nil
		row, to := p.turn()
		_, err := publish(b.Context(), store, row, to)
		require.NoError(b, err)
	}
	h := &byHand{pool: pool}
	for _, query := range s.statements {
		h.statements = append(h.statements, strings.ReplaceAll(query, "?", "$"))
	}
	require.Len(b, h.statements, 6, "%q", h.statements)
	return h
}

func (h *byHand) publish(ctx context.Context, row string, to lv.VersionID) error {
	return pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, h.statements[0]); err != nil {
			return err
		}
		var working, from, target, seq, given, now int64
		var digest, targetDigest, content []byte
		err := tx.QueryRow(ctx, h.statements[1], int64(1), []byte(row), int64(to)).
			Scan(&working, &digest, &from, &target, &targetDigest, &content, &seq, &given, &now)
		if err != nil {
			return err
		}
		none, batch := []byte{}, new(pgx.Batch)
		batch.Queue(h.statements[2], seq, now, int64(1), "released", none, seq, []byte("ann"), given, int64(1), "")
		batch.Queue(h.statements[3], int64(1), seq, none, "applied", seq, int64(0), int64(0), now, now, none, []byte("ann"), none, none)
		batch.Queue(h.statements[4], seq, int64(0), int64(1), none, []byte(row), from, int64(to), int64(0), int64(0), seq)
		batch.Queue(h.statements[5], int64(1), []byte(row), int64(to), int64(1))
		return tx.SendBatch(ctx, batch).Close()
	})
}

// BenchmarkPublish has 16 publishers move pointers in production, against the
// same statements by hand through pgx.
func BenchmarkPublish(b *testing.B) {
	const rounds, callers = 5, 16
	url := shared.url(shared.newSchema(b)) + "&pool_max_conns=16"
	db := open(b, postgres.Config{URL: url})
	mine := newPublishers(b, db.Versions())
	handURL := shared.url(shared.newSchema(b)) + "&pool_max_conns=16"
	handDB := open(b, postgres.Config{URL: handURL})
	theirs := newPublishers(b, handDB.Versions())
	pool, err := pgxpool.New(b.Context(), handURL)
	require.NoError(b, err)
	defer pool.Close()
	hand := newByHand(b, handDB, pool, theirs)
	for b.Loop() {
		var ours, bare []float64
		for range rounds {
			ours = append(ours, rate(b, callers, func() error {
				row, to := mine.turn()
				_, err := publish(b.Context(), db.Versions(), row, to)
				return err
			}))
			bare = append(bare, rate(b, callers, func() error {
				row, to := theirs.turn()
				return hand.publish(b.Context(), row, to)
			}))
		}
		slices.Sort(ours)
		slices.Sort(bare)
		b.ReportMetric(ours[rounds/2], "publish/s")
		b.ReportMetric(bare[rounds/2], "by-hand/s")
		b.ReportMetric(ours[rounds/2]/bare[rounds/2], "x-by-hand")
	}
}

// BenchmarkCatchUp measures how long after a publication has returned the
// readers of another process see it: of one publisher with pauses, and of 16
// without.
func BenchmarkCatchUp(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("publishers=%d", callers), func(b *testing.B) {
			url := shared.url(shared.newSchema(b)) + "&pool_max_conns=16"
			db := open(b, postgres.Config{URL: url})
			p := newPublishers(b, db.Versions())
			for b.Loop() {
				catchUp(b, db, url, callers, func() (seq int64, err error) {
					if callers == 1 {
						time.Sleep(5 * time.Millisecond)
					}
					row, to := p.turn()
					r, err := publish(b.Context(), db.Versions(), row, to)
					return r.Seq, err
				})
			}
		})
	}
}

func catchUp(b *testing.B, db *postgres.DB, url string, callers int, publish func() (seq int64, err error)) {
	cmd := newChild("follow", url)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	saw := make(chan [2]int64, 1<<16) // a seq, and when: a pipe would soon be full
	go func() {
		defer close(saw)
		lines := bufio.NewReader(out)
		for {
			var seq, at int64
			if _, err := fmt.Fscan(lines, &seq, &at); err != nil {
				return
			}
			saw <- [2]int64{seq, at}
		}
	}()
	<-saw // it follows
	var mu sync.Mutex
	published := map[int64]int64{}
	last := int64(0)
	var rates, late []float64
	for range 5 {
		rates = append(rates, rate(b, callers, func() error {
			seq, err := publish()
			mu.Lock()
			defer mu.Unlock()
			published[seq], last = time.Now().UnixNano(), max(last, seq)
			return err
		}))
	}
	for seq := int64(0); seq < last; {
		event, ok := <-saw
		require.True(b, ok, "the process has ended")
		seq = event[0]
		late = append(late, max(0, float64(event[1]-published[seq])/1e6))
	}
	slices.Sort(rates)
	slices.Sort(late)
	b.ReportMetric(rates[len(rates)/2], "publish/s")
	b.ReportMetric(late[len(late)/2], "ms-p50")
	b.ReportMetric(late[len(late)*99/100], "ms-p99")
}

// childFollows says of every event when readers of this process saw it.
func childFollows(db *postgres.DB) error {
	service, err := lv.New(lv.Config{VersionStore: noted{db.Versions()}, ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer service.Close()
	from, err := service.Table(pages.App, pages.Schema).Seq(context.Background())
	if err != nil {
		return err
	}
	time.AfterFunc(2*time.Second, func() { fmt.Println(from, 0) }) // when it listens
	return service.Run(context.Background())
}

// noted is a store that notes when those who watch have done with an event.
type noted struct{ lv.VersionStore }

func (s noted) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		s.VersionStore.Watch(ctx, after)(func(e lv.Event, err error) bool {
			defer func() { fmt.Println(e.Seq, time.Now().UnixNano()) }()
			return yield(e, err)
		})
	}
}
