package lvtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/lvtest"
)

// A wrapper around an engine, such as one that counts or retries, passes too.
func TestAStoreBehindASlowWrapperPasses(t *testing.T) {
	const pause = 100 * time.Microsecond
	h := harness(mutant{Wrap: func(s lv.VersionStore) lv.VersionStore {
		return &store{
			VersionStore: s,
			write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
				time.Sleep(pause)
				defer time.Sleep(pause)
				return s.Write(ctx, t, edits, by)
			},
			putRelease: func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
				time.Sleep(pause)
				defer time.Sleep(pause)
				return s.PutRelease(ctx, t, r, by)
			},
		}
	}})
	lvtest.RunVersionStore(t, h)
}

func FuzzHistory(f *testing.F) { lvtest.FuzzHistory(f, harness(mutant{})) }

func BenchmarkMemory(b *testing.B) {
	h := harness(mutant{})
	b.Run("publish", func(b *testing.B) { lvtest.BenchmarkPublish(b, h) })
	b.Run("status", func(b *testing.B) { lvtest.BenchmarkStatus(b, h) })
	b.Run("history", func(b *testing.B) { lvtest.BenchmarkHistory(b, h) })
}

func TestAServiceKeepsItsPromises(t *testing.T) { lvtest.RunService(t, harness(mutant{})) }
