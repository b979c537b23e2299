package process

import (
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/proc"
)

// fresh is how old figures of use may be.
const fresh = 2 * time.Second

// usage is what the groups of all processes use. The zero usage is ready.
type usage struct {
	mu     sync.Mutex
	at     time.Time
	before map[int]proc.Usage // by group
	now    map[int]used
}

type used struct {
	cores  float64
	memory int64
}

// look returns what the groups use, by their numbers: of processors since the
// look before.
func (u *usage) look() map[int]used {
	u.mu.Lock()
	defer u.mu.Unlock()
	passed := time.Since(u.at)
	if !u.at.IsZero() && passed < fresh {
		return u.now
	}
	groups, err := proc.Groups()
	if err != nil {
		return nil
	}
	now := make(map[int]used, len(groups))
	for id, g := range groups {
		next := used{memory: g.Memory}
		if was, ok := u.before[id]; ok {
			next.cores = max(0, (g.CPU-was.CPU).Seconds()/passed.Seconds())
		}
		now[id] = next
	}
	u.at, u.before, u.now = time.Now(), groups, now
	return now
}
