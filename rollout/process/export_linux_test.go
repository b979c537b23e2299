package process

import (
	"context"
	"time"

	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/internal/procgroup"
)

// End ends the process id, which has ended perhaps, as Stop does without grace.
func End(ctx context.Context, id proc.ID, mark string) error {
	c := &child{id: id, group: procgroup.Adopt(id.PID), mark: mark}
	return c.end(ctx, time.Now(), false)
}
