package sqlite

import (
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// thisHost is the machine whose clock judges leases: all processes of a
// database run on one, and its boot clock is the same for all of them, in every
// time namespace, never jumps, and starts anew with each boot, which ends every
// lease.
//
// Each system has a clock_*.go of its own. Where the boot has no name a lease of
// an earlier one is recognised when it has more time left than it ever had; else
// it lasts once more for as long as it had left.
var thisHost = sync.OnceValue(func() sqlstore.Host {
	name, ended := identify()
	return sqlstore.Host{Boot: proc.BootID(), Tick: tick, Process: name, Ended: ended}
})

// started is one moment by two clocks: the one that all processes share, and
// that of time.Now, which goes on from there. They are the same clock of the
// system, so a lease and its holder's local deadline agree, also about the
// time that the machine sleeps; and a test that fakes time fakes both.
var started = struct {
	tick int64
	at   time.Time
}{bootMicros(), time.Now()}

// tick returns microseconds since the machine booted.
func tick() int64 { return started.tick + time.Since(started.at).Microseconds() }
