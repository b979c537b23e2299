package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/filelock"
	"github.com/upkeep-go/upkeep/internal/owned"
	"github.com/upkeep-go/upkeep/internal/proc"
	"github.com/upkeep-go/upkeep/internal/procgroup"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// The folders of a Deployer, and the file that makes it the only one.
const (
	logsDir     = "logs"
	archivesDir = "archives"
	buildsDir   = "builds"
	lockFile    = "lock"
)

// lockTime is how long another Deployer has to end that is just ending.
const lockTime = 10 * time.Second

// Open takes up what an earlier process left running, ends what it left half
// started, and starts supervision, which Close ends. Another Deployer of the
// folder is waited for, for ten seconds.
func Open(c Config) (*Deployer, error) {
	d, err := prepared(c)
	if err != nil {
		return nil, err
	}
	if err := d.takeUp(context.Background()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.working.Go(d.tidy)
	return d, nil
}

// prepared returns a Deployer that supervises nothing yet.
func prepared(c Config) (*Deployer, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if c.Dir == "" || c.Store == nil {
		return nil, fmt.Errorf("process: %w: Config.Dir and Config.Store", rollout.ErrMissing)
	}
	for _, e := range c.Environment {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return nil, fmt.Errorf("process: %w: Config.Environment: want NAME=value", rollout.ErrInvalid)
		}
	}
	host, err := hostName(c.Host)
	if err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := owned.Folder(c.Dir); err != nil {
		return nil, fmt.Errorf("process: Config.Dir: %w", err)
	}
	c.LogSize = cmp.Or(max(c.LogSize, 0), 8<<20)
	c.LogFiles = cmp.Or(max(c.LogFiles, 0), 4)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	waiting, done := context.WithTimeoutCause(context.Background(), lockTime, fmt.Errorf("process: another Deployer has %s", c.Dir))
	defer done()
	unlock, err := filelock.Acquire(waiting, filepath.Join(c.Dir, lockFile))
	if err != nil {
		return nil, err
	}
	d := &Deployer{
		config: c, store: c.Store.Instances(host), name: c.Dir, unlock: unlock,
		transport: &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 64 << 10},
		adding:    make(chan struct{}, 1),
		replicas:  make(map[string]*replica), commands: make(map[rollout.RevisionID]*preparation),
		asleep: make(map[rollout.RevisionID]asleep),
	}
	d.supervision, d.end = context.WithCancel(context.Background())
	d.close = sync.OnceValue(d.closeAll)
	if d.cgroups, err = openCgroups(c.Cgroup); err != nil {
		return nil, errors.Join(err, unlock())
	}
	if err := d.openFolders(); err != nil {
		return nil, errors.Join(err, d.cgroups.close(), unlock())
	}
	return d, nil
}

func (d *Deployer) openFolders() (err error) {
	if d.root, err = os.OpenRoot(d.config.Dir); err != nil {
		return err
	}
	d.roots = append(d.roots, d.root)
	folders := map[string]*os.Root{}
	for _, name := range []string{logsDir, archivesDir} {
		if err = d.root.MkdirAll(name, 0o700); err == nil {
			folders[name], err = d.root.OpenRoot(name)
		}
		if err != nil {
			return errors.Join(err, d.closeFolders())
		}
		d.roots = append(d.roots, folders[name])
	}
	d.output = output.New(folders[logsDir], output.Config{Size: d.config.LogSize, Files: d.config.LogFiles})
	d.archives = archive.New(folders[archivesDir], archive.Config{Client: d.config.Client})
	return nil
}

func (d *Deployer) closeFolders() error {
	var errs []error
	for _, r := range d.roots {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// takeUp adopts what runs, and ends and forgets the rest.
func (d *Deployer) takeUp(ctx context.Context) error {
	elsewhere, err := d.elsewhere()
	if err != nil {
		return err
	}
	logs, err := filepath.EvalSymlinks(filepath.Join(d.config.Dir, logsDir))
	if err != nil {
		return err
	}
	var gone []string
	for i, err := range d.store.List(ctx) {
		if elsewhere[i.ID] {
			continue
		}
		if err == nil {
			err = d.adopt(i, logs)
		}
		switch {
		case errors.Is(err, os.ErrProcessDone), errors.Is(err, rollout.ErrCorrupt):
			gone = append(gone, i.ID)
		case err != nil:
			return err
		}
	}
	err = procgroup.EndMarked(ctx, markName, func(value string) bool {
		id, whose, _ := strings.Cut(value, "@")
		return whose == d.name && d.replicas[id] == nil
	})
	if err != nil {
		return err
	}
	for _, id := range gone {
		if err := errors.Join(d.cgroups.remove(ctx, id), d.store.Remove(ctx, id)); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere are the replicas that run for Deployers of other folders, which may
// have this Store and Host too.
func (d *Deployer) elsewhere() (map[string]bool, error) {
	own, err := os.Stat(d.name)
	if err != nil {
		return nil, err
	}
	marked, err := procgroup.Marked(markName)
	all := make(map[string]bool)
	for _, value := range marked {
		id, whose, _ := strings.Cut(value, "@")
		if folder, err := os.Stat(whose); err == nil && !os.SameFile(own, folder) {
			all[id] = true
		}
	}
	return all, err
}

// adopt takes up a replica whose process still runs and has answered. Of others
// it is an os.ErrProcessDone.
func (d *Deployer) adopt(i rollout.Instance, logs string) error {
	id, err := proc.ParseID(i.Process)
	if err != nil || i.Endpoint == "" {
		return os.ErrProcessDone
	}
	c, err := take(id, d.mark(i.ID))
	if err != nil {
		return err
	}
	r := d.newReplica(i, id.StartedAt())
	r.Endpoint = i.Endpoint
	r.sockets.adopt(c, i.Endpoint)
	r.log = d.output.Adopt(i.Revision, logFolder(i.Spec), i.ID, c.output(logs))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.supervise(r, c)
	return nil
}
