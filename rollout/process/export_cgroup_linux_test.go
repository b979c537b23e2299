package process

import (
	"context"
	"errors"
)

// RemoveGroup removes the group of a replica of which nothing is left, below dir.
func RemoveGroup(ctx context.Context, dir, id string) error {
	g, err := openCgroups(dir)
	if err != nil {
		return err
	}
	return errors.Join(g.remove(ctx, id), g.close())
}
