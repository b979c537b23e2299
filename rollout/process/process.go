// Package process is a rollout.Deployer of processes of this machine. They
// outlive the program that started them: each has a session and a group of its
// own, prints into a file and never into a pipe, and is taken up again by the
// next Open. It needs Linux 5.10 or newer.
//
// A program is told where to serve in two ways, and may take either. Its
// descriptor 3 is a listener, as systemd passes them (LISTEN_FDS, LISTEN_PID),
// that is kept open while the program is started again: Listener takes it. Or it
// listens itself on the port in PORT, with SO_REUSEADDR as most do. Where it
// answers first is its endpoint. It has to stay in the foreground, and end on
// SIGTERM.
//
// A Deployer takes the listener of what it takes up from the process itself, which
// has to be of the same user, and in a system that lets nobody look into others
// (kernel.yama.ptrace_scope) of one with CAP_SYS_PTRACE. Otherwise a program that
// falls then refuses connections until it is started again, where it was. One that
// was started without PORT, as by a script that unsets it, is taken to use the
// listener: if it listens for itself it comes back at another port, and who
// connects until then has no answer.
//
// A program gets a clean environment: PATH, HOME and LANG of this one, PORT,
// what passes the listener on, UPKEEP_INSTANCE, which tells whose it is,
// Config.Environment and Spec.Environment. Its folder is that of its archive, or
// this program's.
//
// Read process.go, then replica.go, start.go, stop.go and open.go.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/internal/notice"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/archive"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// Config configures a Deployer. A zero field means its documented default.
type Config struct {
	// Dir, of one Deployer at a time, has output, archives that are unpacked, and what
	// is built. An archive or a build goes with the last replica that needs it. A
	// service that sleeps (MinReplicas 0) keeps those of its last two revisions that
	// no newer one had replaced when they went, for a week, as long as the Deployer
	// is open. Required.
	Dir   string
	Store Store  // required: what it has started
	Host  string // names this machine in Store; default: the host name
	// Build makes a program of an image, a package or a source, in dir, and
	// returns its command. It is called again for the same dir when a program is
	// to be started and this process has not built it, or what it built has gone.
	// An error that is a rollout.ErrInvalid or an errors.ErrUnsupported fails a run
	// at once, as an archive with another digest does; others are tried again, five
	// times in all. Default: such a revision is refused with errors.ErrUnsupported.
	Build func(ctx context.Context, id rollout.RevisionID, s rollout.Spec, dir string) (command []string, err error)
	// Environment is given to every program, as "NAME=value". Default: none.
	Environment []string
	// Cgroup is a folder of control groups, version 2, that this program may
	// divide and that has no processes, such as one that systemd delegates. CPU and
	// Memory of a Spec are limits there. Default: none, and they are not enforced.
	Cgroup  string
	LogSize int64 // bytes of one file of output; default 8 MiB
	// LogFiles is how many files of output a revision has, below Dir/logs. When it has
	// no replicas any more they are kept until 20 newer ones of its service have none
	// either; but what is in a folder that Spec.Logs names is the application's to
	// delete, then or later. Default 4.
	LogFiles int
	Client   *http.Client // fetches archives; default: one of its own
	Logger   *slog.Logger // what happens by itself; default slog.Default()
}

// Store is what a Deployer needs of an engine; every engine is one.
type Store interface {
	Instances(host string) rollout.InstanceStore
}

// Deployer is a rollout.Deployer: it starts, watches and stops processes. Those
// that end are started again, after a pause that grows to a minute.
type Deployer struct {
	config    Config
	store     rollout.InstanceStore
	root      *os.Root
	roots     []*os.Root // that one, and those below
	name      string     // of Dir, in the mark of what it starts
	unlock    func() error
	output    *output.Keeper
	archives  *archive.Shelf
	cgroups   cgroups
	transport *http.Transport
	board     notice.Board
	usage     usage

	supervision context.Context // of all goroutines
	end         context.CancelFunc
	working     sync.WaitGroup
	close       func() error // closeAll, once

	adding   chan struct{} // full while somebody adds replicas
	mu       sync.Mutex
	closed   bool
	left     bool // by a revision's last replica: there may be something to delete
	replicas map[string]*replica
	commands map[rollout.RevisionID]*preparation
	asleep   map[rollout.RevisionID]asleep
}

var _ rollout.Deployer = (*Deployer)(nil)

// Close ends supervision, and waits for that. The processes run on, and the next
// Open takes them up. Calls that follow are rollout.ErrClosed. It may be called
// twice.
func (d *Deployer) Close() error { return d.close() }

func (d *Deployer) closeAll() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.adding <- struct{}{} // nothing is being added, nor will be
	d.working.Wait()
	var errs []error
	for _, r := range d.replicas {
		errs = append(errs, r.leave())
	}
	d.transport.CloseIdleConnections()
	return errors.Join(append(errs, d.cgroups.close(), d.closeFolders(), d.unlock())...)
}

func (d *Deployer) lock(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return errClosed
	}
	return nil
}

// within returns a context that ends with ctx, and with supervision. The caller
// calls done.
func (d *Deployer) within(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(d.supervision, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// because is err, or errClosed if that is why ctx has ended.
func because(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errClosed) {
		return errClosed
	}
	return err
}

var errClosed = fmt.Errorf("process: %w", rollout.ErrClosed)

// Ensure implements rollout.Deployer. What a replica is in store for is durable
// before it is started, so that a process is never forgotten.
func (d *Deployer) Ensure(ctx context.Context, id rollout.RevisionID, s rollout.Spec, replicas int) error {
	if err := d.check(s); err != nil {
		return err
	}
	ctx, done := d.within(ctx)
	defer done()
	select {
	case d.adding <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-d.adding }()
	for {
		if err := d.lock(ctx); err != nil {
			return err
		}
		alive := 0
		for _, r := range d.replicas {
			if r.Revision == id && r.State != rollout.ReplicaStopping {
				alive++
			}
		}
		d.mu.Unlock()
		if alive >= replicas {
			return nil
		}
		if err := d.add(ctx, id, s.Clone()); err != nil {
			return because(ctx, err)
		}
	}
}

// Observe implements rollout.Deployer. The order is that in which they were
// started. CPU and Memory are those of a replica's whole group, two seconds old at
// most.
func (d *Deployer) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	used := d.usage.look()
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	var all []rollout.Replica
	for _, r := range d.replicas {
		if r.Revision.Service != s {
			continue
		}
		seen := r.Replica
		if r.running != nil {
			now := used[r.running.id.PID]
			seen.CPU, seen.Memory = now.cores, now.memory
		}
		all = append(all, seen)
	}
	slices.SortFunc(all, func(a, b rollout.Replica) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Logs implements rollout.Deployer: of what a revision's replicas have printed,
// those that have ended included, as long as it is kept.
func (d *Deployer) Logs(ctx context.Context, id rollout.RevisionID, q rollout.LogQuery) (io.ReadCloser, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	folder := ""
	for _, r := range d.replicas {
		if r.Revision == id {
			folder = logFolder(r.spec)
		}
	}
	d.mu.Unlock()
	return d.output.Read(ctx, id, folder, q)
}

// Changed implements rollout.Deployer.
func (d *Deployer) Changed(ctx context.Context) <-chan struct{} { return d.board.Listen(ctx) }

// logFolder is where the output of a content is kept, "" for the default.
func logFolder(s rollout.Spec) string {
	if s.Logs == nil || *s.Logs == "stdout" {
		return ""
	}
	return filepath.ToSlash(filepath.Clean(filepath.FromSlash(*s.Logs)))
}
