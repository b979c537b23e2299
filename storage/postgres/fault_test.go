//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/update"
)

// writers create runs side by side and remember what became of them.
type writers struct {
	work sync.WaitGroup
	stop context.CancelFunc

	mu                   sync.Mutex
	acknowledged, failed []string
	errs                 []error
}

func startWriters(t testing.TB, j update.Journal, name string) *writers {
	ctx, stop := context.WithCancel(context.Background())
	w := &writers{stop: stop}
	t.Cleanup(func() { w.end() })
	for n := range 4 {
		w.work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", name, n, i)
				w.note(id, create(context.Background(), j, id))
			}
		})
	}
	return w
}

func (w *writers) note(id string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.acknowledged = append(w.acknowledged, id)
	} else {
		w.failed, w.errs = append(w.failed, id), append(w.errs, err)
	}
}

// until waits for that many more acknowledged runs.
func (w *writers) until(t testing.TB, more int) {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.acknowledged)
	}
	goal := count() + more
	eventually(t, func() bool { return count() >= goal }, "the writers are stuck")
}

func (w *writers) end() {
	w.stop()
	w.work.Wait()
}

func TestWhatAKilledServerAcknowledgedIsThere(t *testing.T) {
	t.Parallel()
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	db := open(t, postgres.Config{URL: s.url(s.newSchema(t)), Timeout: 20 * time.Second})
	own, err := db.Locker().Acquire(t.Context(), "core", "me", time.Hour)
	require.NoError(t, err)

	w := startWriters(t, db.Journal(), "run")
	for range 2 {
		w.until(t, 50)
		s.end(syscall.SIGKILL)
		require.NoError(t, s.start())
	}
	w.until(t, 20) // the same DB goes on
	w.end()

	require.Equal(t, len(w.acknowledged), requireWholeOrAbsent(t, db.Journal(), w.acknowledged))
	requireWholeOrAbsent(t, db.Journal(), w.failed)
	for _, err := range w.errs {
		require.ErrorIs(t, err, postgres.ErrUnknown)
	}
	renewed, err := db.Locker().Renew(t.Context(), own, time.Hour)
	require.NoError(t, err)
	require.Equal(t, own.Token, renewed.Token)
}

func TestATransactionUnderWayWhenTheServerIsKilledNeverWas(t *testing.T) {
	t.Parallel()
	s, err := newServer()
	require.NoError(t, err)
	require.NoError(t, s.start())
	t.Cleanup(s.remove)
	url := s.url(s.newSchema(t))
	db := open(t, postgres.Config{URL: url})
	require.NoError(t, create(t.Context(), db.Journal(), "before"))

	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	within := db.Within(tx)
	require.NoError(t, create(t.Context(), within.Journal(), "during"))
	_, err = within.Locker().Acquire(t.Context(), "core", "me", time.Hour)
	require.NoError(t, err)
	s.end(syscall.SIGKILL)
	require.NoError(t, s.start())
	require.Error(t, tx.Commit(t.Context()))

	require.Equal(t, 1, requireWholeOrAbsent(t, db.Journal(), []string{"before", "during"}))
	_, err = db.Locker().Holder(t.Context(), "core")
	require.ErrorIs(t, err, lease.ErrFree)
}

func TestCutConnectionsLoseNothing(t *testing.T) {
	db := open(t, postgres.Config{URL: shared.url(shared.newSchema(t)) + "&application_name=cut"})
	w := startWriters(t, db.Journal(), "run")
	for range 10 {
		w.until(t, 10)
		shared.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'")
	}
	w.end()
	require.Equal(t, len(w.acknowledged), requireWholeOrAbsent(t, db.Journal(), w.acknowledged))
	requireWholeOrAbsent(t, db.Journal(), w.failed)
	for _, err := range w.errs {
		require.ErrorIs(t, err, postgres.ErrUnknown)
	}
}

func TestACommitWithoutAnAnswerIsReportedAsUnknown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   commitFault
		present bool
	}{
		{"the request is lost", loseRequest, false},
		{"the reply is lost", loseReply, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t, shared)
			db := open(t, postgres.Config{URL: urlAt(n.dir, shared.newSchema(t))})
			j := db.Journal()
			_, err := j.Get(t.Context(), "a") // which makes the tables
			require.ErrorIs(t, err, update.ErrNotFound)
			n.next <- tt.fault
			require.ErrorIs(t, create(t.Context(), j, "a"), postgres.ErrUnknown)

			// Repeating it tells, and makes the run once.
			err = create(t.Context(), j, "a")
			if tt.present {
				require.ErrorIs(t, err, update.ErrExists)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, 1, requireWholeOrAbsent(t, j, []string{"a"}))

			r, err := j.Get(t.Context(), "a")
			require.NoError(t, err)
			n.next <- tt.fault
			_, err = j.Save(t.Context(), r, update.Event{Kind: update.EventLog})
			require.ErrorIs(t, err, postgres.ErrUnknown)
			_, err = j.Save(t.Context(), r, update.Event{Kind: update.EventLog})
			if tt.present {
				require.ErrorIs(t, err, update.ErrStale)
			} else {
				require.NoError(t, err)
			}
			r, err = j.Get(t.Context(), "a")
			require.NoError(t, err)
			require.EqualValues(t, 2, r.Rev)
		})
	}
}

func TestASilentNetworkEndsACallInTime(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, shared)
	db := open(t, postgres.Config{URL: urlAt(n.dir, shared.newSchema(t)), Timeout: time.Second, MaxConns: 1})
	own, err := db.Locker().Acquire(t.Context(), "core", "me", time.Hour)
	require.NoError(t, err)
	n.dropRequests.Store(true)
	_, err = db.Locker().Renew(t.Context(), own, time.Hour)
	require.ErrorIs(t, err, storage.ErrBusy)
	_, err = db.Locker().Holder(t.Context(), "core")
	require.ErrorIs(t, err, storage.ErrBusy)
	n.dropRequests.Store(false)

	n.dropReplies.Store(true)
	_, err = db.Locker().Renew(t.Context(), own, time.Hour)
	require.ErrorIs(t, err, storage.ErrBusy)
	n.dropReplies.Store(false)

	_, err = db.Locker().Renew(t.Context(), own, time.Hour)
	require.NoError(t, err, "the network is back")
}

func TestWhoStopsInMidTransactionDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, shared)
	schema := shared.newSchema(t)
	stopped := open(t, postgres.Config{URL: urlAt(n.dir, schema), Timeout: time.Second})
	other := open(t, postgres.Config{URL: shared.url(schema)})
	n.next <- freeze
	require.ErrorIs(t, create(t.Context(), stopped.Journal(), "stopped"), postgres.ErrUnknown)

	require.NoError(t, create(t.Context(), other.Journal(), "other"))
	require.Equal(t, 1, requireWholeOrAbsent(t, other.Journal(), []string{"stopped", "other"}))
}

func TestAnEndedContextDropsAWriteAndALaterEndDoesNot(t *testing.T) {
	url := shared.url(shared.newSchema(t))
	db := open(t, postgres.Config{URL: url + "&application_name=context"})
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, create(ended, db.Journal(), "dropped"), context.Canceled)

	// Another transaction keeps the journal, so that the write has begun and
	// is not done when its context ends.
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer c.Close(context.Background())
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, create(t.Context(), db.Within(tx).Journal(), "first"))
	ctx, end := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- create(ctx, db.Journal(), "second") }()
	waits := "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'context' AND wait_event = 'advisory'"
	eventually(t, func() bool { return count(t, waits) == 1 }, "the write does not wait")
	end()
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-result)
	require.Equal(t, 2, requireWholeOrAbsent(t, db.Journal(), []string{"first", "second", "dropped"}))
}

// TestWhatPassesIsTriedAgain makes the server refuse writes in its own words.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name, code, timing string
		want               error
	}{
		{"serialization failure", "40001", "", nil},
		{"serialization failure at commit", "40001", "DEFERRABLE INITIALLY DEFERRED", nil},
		{"deadlock", "40P01", "", nil},
		{"disk full", "53100", "", storage.ErrFull},
		{"disk full at commit", "53100", "DEFERRABLE INITIALLY DEFERRED", storage.ErrFull},
		{"read-only", "25006", "", storage.ErrReadOnly},
		{"damaged", "XX001", "", storage.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			schema := shared.newSchema(t)
			db := open(t, postgres.Config{URL: shared.url(schema)})
			db.Engine() // has the tables
			shared.exec(t, fmt.Sprintf(`SET search_path = %s;
				CREATE SEQUENCE tries;
				CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF nextval('%[1]s.tries') <= 3 THEN RAISE EXCEPTION 'no' USING ERRCODE = '%[2]s'; END IF;
					RETURN NEW;
				END $$;
				CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON upkeep_update_run %[3]s
					FOR EACH ROW EXECUTE FUNCTION refuse()`, schema, tt.code, tt.timing))
			err := create(t.Context(), db.Journal(), "a")
			if tt.want == nil {
				require.NoError(t, err)
				require.Equal(t, 1, requireWholeOrAbsent(t, db.Journal(), []string{"a"}))
				return
			}
			require.ErrorIs(t, err, tt.want)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg)
			require.Equal(t, tt.code, pg.Code)
			require.Equal(t, 1, count(t, "SELECT last_value FROM "+schema+".tries"), "tried again in vain")
		})
	}
}

// TestWhatAPoolerSaysOfItsServerPasses has one whose server was away.
func TestWhatAPoolerSaysOfItsServerPasses(t *testing.T) {
	n := newNetwork(t, shared)
	db := open(t, postgres.Config{URL: urlAt(n.dir, shared.newSchema(t)), MaxConns: 1})
	db.Engine() // has the tables
	n.refusals.Store(3)
	n.cut()
	require.NoError(t, create(t.Context(), db.Journal(), "a"))
	require.Negative(t, n.refusals.Load())

	n.refusals.Store(1)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: urlAt(n.dir, "public")})
	require.ErrorIs(t, err, storage.ErrBusy)
}

// TestASilentServerDoesNotOutlastAContext waits for no patience of the engine's.
func TestASilentServerDoesNotOutlastAContext(t *testing.T) {
	n := newNetwork(t, shared)
	db := open(t, postgres.Config{URL: urlAt(n.dir, shared.newSchema(t)), Timeout: time.Hour, MaxConns: 1})
	db.Engine() // has the tables
	n.dropReplies.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- create(ctx, db.Journal(), "a") }()
	select {
	case err := <-result:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(time.Minute):
		require.Fail(t, "it waits on")
	}
}

func TestTryingAgainHasAnEnd(t *testing.T) {
	t.Parallel()
	schema := shared.newSchema(t)
	db := open(t, postgres.Config{URL: shared.url(schema), Timeout: 500 * time.Millisecond})
	db.Engine() // has the tables
	shared.exec(t, fmt.Sprintf(`SET search_path = %s;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON upkeep_update_run FOR EACH ROW EXECUTE FUNCTION refuse()`, schema))
	require.ErrorIs(t, create(t.Context(), db.Journal(), "a"), storage.ErrBusy)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, create(ctx, db.Journal(), "a"), context.DeadlineExceeded)
}

func TestAPlaceThatCannotBeWrittenIsReadOnly(t *testing.T) {
	schema := shared.newSchema(t)
	_, err := postgres.Open(t.Context(), postgres.Config{URL: shared.url(schema) + "&default_transaction_read_only=on"})
	require.ErrorIs(t, err, storage.ErrReadOnly)

	shared.exec(t, "CREATE ROLE reader_"+schema+" LOGIN; GRANT USAGE ON SCHEMA "+schema+" TO reader_"+schema)
	_, err = postgres.Open(t.Context(), postgres.Config{URL: shared.url(schema) + "&user=reader_" + schema})
	require.ErrorIs(t, err, storage.ErrReadOnly)
}

// TestAClientsClockMeansNothing has two clients, one of which lives in the
// year 2000, as testing/synctest has it.
func TestAClientsClockMeansNothing(t *testing.T) {
	schema := shared.newSchema(t)
	url := shared.url(schema)
	right := open(t, postgres.Config{URL: url})
	mine, err := right.Locker().Acquire(t.Context(), "mine", "right", time.Hour)
	require.NoError(t, err)
	var theirs lease.Lease
	var created update.Run

	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, 2000, time.Now().UTC().Year())
		wrong, err := postgres.Open(context.Background(), postgres.Config{URL: url})
		require.NoError(t, err)
		defer wrong.Close()

		var held *lease.HeldError
		_, err = wrong.Locker().Acquire(context.Background(), "mine", "wrong", time.Hour)
		require.ErrorAs(t, err, &held)
		require.Equal(t, mine.ExpiresAt, held.Until)
		theirs, err = wrong.Locker().Acquire(context.Background(), "theirs", "wrong", time.Hour)
		require.NoError(t, err)
		r, events := run("a")
		created, err = wrong.Journal().Create(context.Background(), r, events...)
		require.NoError(t, err)
	})

	var now time.Time
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer c.Close(context.Background())
	require.NoError(t, c.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
	require.WithinDuration(t, now.Add(time.Hour), theirs.ExpiresAt, time.Minute)
	require.WithinDuration(t, now, created.CreatedAt, time.Minute)
	_, err = right.Locker().Acquire(t.Context(), "theirs", "right", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld)
	for e := range written(t, right.Journal()) {
		require.WithinDuration(t, now, e.Time, time.Minute)
	}
}
