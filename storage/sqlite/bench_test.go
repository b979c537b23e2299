//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// rounds is how often each contender runs; they take turns, because the disk
// and the machine are not the same from one second to the next.
const rounds = 5

// peer opens a pool as a program without this package would, with our pragmas.
func peer(b *testing.B, path, synchronous string) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+path+
		"?_txlock=immediate&_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)"+
		"&_pragma=wal_autocheckpoint(4000)&_pragma=synchronous("+synchronous+")")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

// inTx runs one statement in a transaction of its own.
func inTx(db *sql.DB, stmt *sql.Stmt, args ...any) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Stmt(stmt).Exec(args...); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

const (
	rowTable = `CREATE TABLE upkeep_bench (k INTEGER PRIMARY KEY, v BLOB NOT NULL) STRICT`
	rowWrite = `INSERT INTO upkeep_bench (k, v) VALUES (?1, ?2)`
)

// crowd calls write with new keys from many goroutines for a while. It returns
// the rate per second and the 99th percentile of the time of a call.
func crowd(b *testing.B, callers int, next *atomic.Int64, write func(k int64) error) (rate float64, p99 time.Duration) {
	var all sync.WaitGroup
	times := make([][]time.Duration, callers)
	began := time.Now()
	for caller := range callers {
		all.Go(func() {
			for time.Since(began) < 300*time.Millisecond {
				start := time.Now()
				if err := write(next.Add(1)); err != nil {
					b.Error(err)
					return
				}
				times[caller] = append(times[caller], time.Since(start))
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	together := slices.Concat(times...)
	if len(together) == 0 {
		b.FailNow() // for what was told above
	}
	slices.Sort(together)
	return float64(len(together)) / took.Seconds(), together[len(together)*99/100]
}

// BenchmarkWrite32 has 32 callers write a small row each, all of it durable
// (synchronous=FULL). Its peers run the same statement in a transaction for
// each: behind one mutex, and on a pool of 32 connections that wait for each
// other by busy_timeout.
func BenchmarkWrite32(b *testing.B) {
	const callers = 32
	var key atomic.Int64
	payload := []byte(strings.Repeat("x", 256))
	ours := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "ours.db")})
	require.NoError(b, ours.Write(b.Context(), func(tx sqlstore.Tx) error { return tx.Exec(rowTable) }))
	peers := map[string]*sql.DB{}
	stmts := map[string]*sql.Stmt{}
	for name, conns := range map[string]int{"mutex": 1, "pool": callers} {
		db := peer(b, filepath.Join(b.TempDir(), name+".db"), "FULL")
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		_, err := db.Exec(rowTable)
		require.NoError(b, err)
		stmt, err := db.Prepare(rowWrite)
		require.NoError(b, err)
		peers[name], stmts[name] = db, stmt
	}
	var mutex sync.Mutex
	contenders := map[string]func(k int64) error{
		"ours": func(k int64) error {
			return ours.Write(context.Background(), func(tx sqlstore.Tx) error { return tx.Exec(rowWrite, k, payload) })
		},
		"mutex": func(k int64) error {
			mutex.Lock()
			defer mutex.Unlock()
			return inTx(peers["mutex"], stmts["mutex"], k, payload)
		},
		"pool": func(k int64) error { return inTx(peers["pool"], stmts["pool"], k, payload) },
	}
	for b.Loop() {
		rates, tails := map[string][]float64{}, map[string][]time.Duration{}
		for range rounds {
			for name, write := range contenders {
				rate, p99 := crowd(b, callers, &key, write)
				rates[name], tails[name] = append(rates[name], rate), append(tails[name], p99)
			}
		}
		rate := suitetest.Median(rates["ours"])
		b.ReportMetric(rate, "writes/s")
		b.ReportMetric(rate/suitetest.Median(rates["mutex"]), "x-mutex-writer")
		b.ReportMetric(rate/suitetest.Median(rates["pool"]), "x-pool")
		b.ReportMetric(float64(suitetest.Median(tails["ours"]))/float64(suitetest.Median(tails["pool"])), "p99-of-pool")
	}
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRead compares a read of the domain, who holds a lock, with the bare
// prepared statement on a pool of database/sql, by processor time.
func BenchmarkRead(b *testing.B) {
	const reads = 10_000
	path := filepath.Join(b.TempDir(), "state.db")
	db := open(b, sqlite.Config{Path: path})
	own, err := db.Locker().Acquire(b.Context(), "core", "me", time.Hour)
	require.NoError(b, err)
	bare, err := peer(b, path, "FULL").Prepare(`
		SELECT owner, token, acquired_ms, expires_ms, process, ttl_us, ends_us - ?4 FROM upkeep_lease
		WHERE item = ?1 AND owner IS NOT NULL AND ends_us > ?4 AND (boot = ?2 OR boot = '' OR ?2 = '')`)
	require.NoError(b, err)
	var boot string
	require.NoError(b, db.Read(b.Context(), func(tx sqlstore.Tx) error {
		return tx.Row("SELECT boot FROM upkeep_lease", nil, &boot)
	}))
	contenders := map[string]func() error{
		"ours": func() error {
			_, err := db.Locker().Holder(b.Context(), "core")
			return err
		},
		"bare": func() error {
			var owner []byte
			var process string
			var token, acquired, expires, ttl, left int64
			return bare.QueryRowContext(b.Context(), []byte(own.Item), boot, 0, int64(1)).
				Scan(&owner, &token, &acquired, &expires, &process, &ttl, &left)
		},
	}
	for b.Loop() {
		used := map[string][]time.Duration{}
		for range rounds {
			for name, read := range contenders {
				before := cpu(b)
				for range reads {
					require.NoError(b, read())
				}
				used[name] = append(used[name], cpu(b)-before)
			}
		}
		b.ReportMetric(float64(suitetest.Median(used["ours"]).Nanoseconds())/reads, "cpu-ns/read")
		b.ReportMetric(float64(suitetest.Median(used["ours"]))/float64(suitetest.Median(used["bare"])), "cpu-x-bare")
	}
}

// naive is a lock as it is written when nobody thinks long about it: look and
// take in a transaction, look again every 10 ms.
type naive struct {
	db                   *sql.DB
	look, take, giveBack *sql.Stmt
}

func newNaive(b *testing.B, db *sql.DB) *naive {
	_, err := db.Exec(`CREATE TABLE lock (item TEXT PRIMARY KEY, owner TEXT, token INTEGER NOT NULL, expires INTEGER NOT NULL)`)
	require.NoError(b, err)
	n := &naive{db: db}
	for stmt, query := range map[**sql.Stmt]string{
		&n.look: `SELECT owner, expires FROM lock WHERE item = ?1`,
		&n.take: `INSERT INTO lock (item, owner, token, expires) VALUES (?1, ?2, 1, ?3)
			ON CONFLICT (item) DO UPDATE SET owner = excluded.owner, token = token + 1, expires = excluded.expires`,
		&n.giveBack: `UPDATE lock SET owner = NULL WHERE item = ?1 AND owner = ?2`,
	} {
		*stmt, err = db.Prepare(query)
		require.NoError(b, err)
	}
	return n
}

func (n *naive) pair(owner string) error {
	for {
		took, err := n.try(owner)
		if err != nil {
			return err
		}
		if took {
			return inTx(n.db, n.giveBack, "core", owner)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (n *naive) try(owner string) (bool, error) {
	tx, err := n.db.Begin()
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var holder sql.NullString
	var expires int64
	err = tx.Stmt(n.look).QueryRow("core").Scan(&holder, &expires)
	if err == nil && holder.Valid && expires > time.Now().UnixMilli() {
		return false, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if _, err := tx.Stmt(n.take).Exec("core", owner, time.Now().Add(3*time.Minute).UnixMilli()); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

// contend has 4 contenders take and give back one item for a while, and counts
// how often.
func contend(b *testing.B, pair func(owner string) error) (pairs float64, took time.Duration) {
	var all sync.WaitGroup
	var n atomic.Int64
	began := time.Now()
	for i := range 4 {
		owner := fmt.Sprint("contender ", i)
		all.Go(func() {
			for ; time.Since(began) < 300*time.Millisecond; n.Add(1) {
				if err := pair(owner); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(n.Load()), time.Since(began)
}

// BenchmarkLocker has 4 contenders take turns with one item by lease.Hold,
// against the naive lock on the same pragmas and file system
// (synchronous=NORMAL). At FULL it counts the transactions of a pair: each
// that changed something is one sync, as strace shows, and folding the log
// into the file adds a few in a thousand.
func BenchmarkLocker(b *testing.B) {
	db := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "ours.db"), Relaxed: true})
	durable := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "durable.db")})
	other := newNaive(b, peer(b, filepath.Join(b.TempDir(), "naive.db"), "NORMAL"))
	hold := func(l lease.Locker) func(string) error {
		var turns lease.Line
		return func(owner string) error {
			held, err := lease.Hold(b.Context(), l, "core", lease.HoldConfig{Owner: owner, Wait: true, Line: &turns})
			if err != nil {
				return err
			}
			return held.Release()
		}
	}
	commits := durable.CountCommits()
	for b.Loop() {
		var rates, ratios, syncs []float64
		for range rounds {
			pairs, took := contend(b, hold(db.Locker()))
			rate := pairs / took.Seconds()
			pairs, took = contend(b, other.pair)
			rates, ratios = append(rates, rate), append(ratios, rate*took.Seconds()/pairs)
			before := commits.Load()
			pairs, _ = contend(b, hold(durable.Locker()))
			syncs = append(syncs, float64(commits.Load()-before)/pairs)
		}
		b.ReportMetric(suitetest.Median(rates), "pairs/s")
		b.ReportMetric(suitetest.Median(ratios), "x-naive-tx")
		b.ReportMetric(suitetest.Median(syncs), "syncs/pair")
	}
}
