package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// save writes what readers see to the file, which is the old or the new one
// whatever happens.
func (r *Replica) save(ctx context.Context) (err error) {
	// What was seen last is worth a moment at the end of Run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	snapshot, err := r.table.Snapshot(ctx)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.config.File+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = WriteSnapshot(f, r.config.Table, snapshot)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), r.config.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// open reads the file.
func (r *Replica) open() (lv.Snapshot, error) {
	f, err := os.Open(r.config.File)
	if err != nil {
		return lv.Snapshot{}, err
	}
	defer f.Close()
	table, snapshot, err := ReadSnapshot(f)
	if err == nil && table != r.config.Table {
		err = fmt.Errorf("lv/replica: the file is of table %q of %q", table.Schema, table.App)
	}
	return snapshot, err
}
