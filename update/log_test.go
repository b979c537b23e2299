package update_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// TestMain keeps what updates log by default away from the tests' own output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// lines are what was logged, without times, and with ids as RUN.
func lines(log *bytes.Buffer) []string {
	text := regexp.MustCompile(`[a-z0-9]{26}`).ReplaceAllString(log.String(), "RUN")
	log.Reset()
	return strings.Split(strings.TrimSpace(text), "\n")
}

func TestTheLogTellsWhatHappensToRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		open := func(state *memory.DB, owner string, steps ...update.Step) *update.Updater {
			p := app(steps...)
			p.Source = versions{"1.0.0", "1.1.0"}
			u, err := update.New(update.Config{
				Store: state, Owner: owner, Packages: []update.Package{p},
				Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
					ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
						if a.Key == slog.TimeKey {
							return slog.Attr{}
						}
						return a
					},
				})),
			})
			require.NoError(t, err)
			t.Cleanup(func() { _ = u.Close() })
			return u
		}
		state := memory.New()
		u := open(state, "host", update.Step{Name: "s", Do: nothing, Undo: nothing})
		run, err := u.Update(t.Context(), update.Request{Package: "app", Version: "1.0.0", By: update.By{Actor: "ann", Reason: "it is time"}})
		require.NoError(t, err)
		synctest.Wait() // its end is logged
		back, err := u.Rollback(t.Context(), run.ID, update.By{Actor: "bob", Reason: "it looks wrong"})
		require.NoError(t, err)
		_, err = u.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		require.NoError(t, u.Close())
		require.Equal(t, []string{
			`level=INFO msg="update: begun" package=app run=RUN from="" version=1.0.0 actor=ann reason="it is time"`,
			`level=INFO msg="update: succeeded" package=app run=RUN from="" version=1.0.0 actor=ann reason="it is time"`,
			`level=INFO msg="update: begun" package=app run=RUN from=1.0.0 version="" undoes=RUN actor=bob reason="it looks wrong"`,
			`level=INFO msg="update: succeeded" package=app run=RUN from=1.0.0 version="" undoes=RUN actor=bob reason="it looks wrong"`,
		}, lines(log))

		u = open(state, "host", update.Step{Name: "s", Do: fails("disk on fire"), Undo: nothing})
		_, err = u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrFailed)
		require.NoError(t, u.Close())
		require.Equal(t, []string{
			`level=INFO msg="update: begun" package=app run=RUN from="" version=1.1.0`,
			`level=WARN msg="update: rolling back" package=app run=RUN from="" version=1.1.0 err="step \"s\": disk on fire"`,
			`level=WARN msg="update: rolled back" package=app run=RUN from="" version=1.1.0 err="step \"s\": disk on fire"`,
		}, lines(log))

		u = open(state, "host", update.Step{Name: "s", Do: fails("no"), Undo: fails("never")})
		_, err = u.Update(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrFailed)
		require.NoError(t, u.Close())
		require.Equal(t, `level=ERROR msg="update: failed" package=app run=RUN from="" version=1.1.0 err="step \"s\": no; then undo of step \"s\": never"`,
			lines(log)[2])

		blocks := update.Step{Name: "s", Undo: nothing, Do: func(ctx context.Context, _ *update.Task) error {
			<-ctx.Done()
			return errors.New("interrupted")
		}}
		u = open(state, "first", blocks)
		run, err = u.Start(t.Context(), ask)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, u.Close())
		next := open(state, "second", blocks)
		go func() { _ = next.Run(t.Context()) }()
		synctest.Wait()
		held, err := next.Holder(t.Context(), update.DefaultLock)
		require.NoError(t, err)
		require.NoError(t, next.Break(t.Context(), "core", held.Token, ann))
		time.Sleep(time.Minute)
		_, err = next.Wait(t.Context(), run.ID)
		require.ErrorIs(t, err, update.ErrCancelled)
		require.NoError(t, next.Close())
		got := regexp.MustCompile(`#\w+`).ReplaceAllString(strings.Join(lines(log), "\n"), "")
		require.Equal(t, []string{
			`level=INFO msg="update: begun" package=app run=RUN from="" version=1.1.0`,
			`level=INFO msg="update: left for the next process" package=app run=RUN from="" version=1.1.0`,
			`level=INFO msg="update: taken up" package=app run=RUN from="" version=1.1.0 last_owner=first`,
			`level=WARN msg="update: lock broken" item=core owner=second token=6 actor=ann reason="wrong release"`,
			`level=ERROR msg="update: recovery failed" err="recover run \"RUN\": lease: lost: somebody else may act"`,
			`level=INFO msg="update: taken up" package=app run=RUN from="" version=1.1.0 last_owner=second`,
			`level=WARN msg="update: rolling back" package=app run=RUN from="" version=1.1.0 err="by ann: wrong release"`,
			`level=WARN msg="update: cancelled" package=app run=RUN from="" version=1.1.0 err="by ann: wrong release"`,
		}, strings.Split(got, "\n"))
	})
}

func TestTheDefaultLoggerIsTheProgramsOwn(t *testing.T) {
	log := new(bytes.Buffer)
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	u := newUpdater(t, app(update.Step{Name: "s", Do: nothing}))
	slog.SetDefault(before)
	_, err := u.Update(t.Context(), ask)
	require.NoError(t, err)
	require.NoError(t, u.Close())
	require.Contains(t, log.String(), "update: succeeded")
}
