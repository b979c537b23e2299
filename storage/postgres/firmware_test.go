//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/storage/postgres"
)

// saveDevice saves a run of a device with so many events.
func saveDevice(ctx context.Context, db *postgres.DB, device string, events int) (firmware.Record, error) {
	d := db.Firmware(device)
	r, err := d.Load(ctx)
	if err != nil {
		return r, err
	}
	r.Run = &firmware.Run{ID: fmt.Sprint("run ", r.Rev), State: firmware.StateRunning}
	r.Run.Request.By.RequestID = r.Run.ID
	all := make([]firmware.Event, events)
	for i := range all {
		all[i] = firmware.Event{Kind: firmware.EventLog, Run: r.Run.ID}
	}
	return d.Save(ctx, r, all...)
}

func TestFirmwareOfManyDevicesIsSavedAtOnce(t *testing.T) {
	url := shared.url(shared.newSchema(t))
	handles := []*postgres.DB{open(t, postgres.Config{URL: url}), open(t, postgres.Config{URL: url})}
	const devices, saves = 8, 10
	var wg sync.WaitGroup
	for i := range devices {
		for h, db := range handles {
			wg.Go(func() {
				device := fmt.Sprint("serial ", i)
				for n := 0; n < saves; {
					r, err := saveDevice(t.Context(), db, device, 2)
					if err == nil {
						n++
						assert.EqualValues(t, 2*r.Rev-1, r.Run.Seq, "the numbers of a device follow each other")
					} else if !assert.ErrorIs(t, err, firmware.ErrStale, "handle %d", h) {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range devices {
		n := int64(0)
		for e, err := range handles[0].Firmware(fmt.Sprint("serial ", i)).Watch(t.Context(), 0) {
			require.NoError(t, err)
			if n++; n == 2*2*saves {
				break
			}
			require.Equal(t, n, e.Seq)
		}
	}
}

func TestFirmwareOfARestoredDatabaseBeginsANewHistory(t *testing.T) {
	schema := shared.newSchema(t)
	c := postgres.Config{URL: shared.url(schema)}
	db := open(t, c)
	save := func(device string, events int) firmware.Record {
		t.Helper()
		r, err := saveDevice(t.Context(), db, device, events)
		require.NoError(t, err)
		return r
	}
	dump := filepath.Join(shared.dir, schema+".dump")
	tool := func(name string, args ...string) {
		t.Helper()
		cmd := shared.command(name, append([]string{"-h", shared.dir, "-U", "upkeep"}, args...)...)
		cmd.Path = toolOf(t, shared, name)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	save("kept", 3)
	save("quiet", 0)
	tool("pg_dump", "-d", "postgres", "-n", schema, "-Fc", "-f", dump)
	save("kept", 2)
	save("quiet", 2)
	save("lost", 4)
	require.NoError(t, db.Close())
	tool("pg_restore", "-d", "postgres", "--clean", "--if-exists", "--single-transaction", dump)

	db = open(t, c)
	for _, device := range []string{"kept", "quiet", "lost", "new"} {
		gone := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for _, err := range db.Firmware(device).Watch(ctx, 4) {
				require.ErrorIs(t, err, firmware.ErrCompacted, "%s: it is of another history", device)
			}
		}
		gone()
		seq := save(device, 2).Run.Seq
		require.Greater(t, seq, int64(1000), "with numbers that were never given")
		for e, err := range db.Firmware(device).Watch(t.Context(), seq-1) {
			require.NoError(t, err)
			require.Equal(t, seq, e.Seq)
			break
		}
		require.Equal(t, seq+2, save(device, 1).Run.Seq)
		gone()
	}
}
