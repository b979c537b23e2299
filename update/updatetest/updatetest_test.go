package updatetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/updatetest"
)

// A wrapper around an engine, such as one that counts or retries, passes too.

func TestAJournalBehindASlowWrapperPasses(t *testing.T) {
	updatetest.RunJournal(t, harness(mutant{Wrap: func(j update.Journal) update.Journal {
		return &journal{
			Journal: j,
			save: func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
				defer slow()()
				return j.Save(ctx, r, events...)
			},
			get: func(ctx context.Context, id string) (update.Run, error) {
				defer slow()()
				return j.Get(ctx, id)
			},
		}
	}}))
}

// slow lets requests and replies take a while.
func slow() func() {
	const pause = 100 * time.Microsecond
	time.Sleep(pause)
	return func() { time.Sleep(pause) }
}
