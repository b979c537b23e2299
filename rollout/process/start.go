package process

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// markName is the variable that every process has, and hands on to those that it
// starts: the id of its replica, and whose it is.
const markName = "UPKEEP_INSTANCE"

// newID returns the id of a new replica.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// mark is the value of markName for a replica.
func (d *Deployer) mark(id string) string { return id + "@" + d.name }

// program is what is started, and with what.
type program struct {
	command        []string // with an absolute path
	dir, group     string   // group: the file by which it enters a control group, or ""
	environment    []string
	mark           string   // which is in environment
	output, passed *os.File // passed: what it gets as descriptor 3, or nil
}

// start starts the program of a replica.
func (r *replica) start() (*child, error) {
	command, dir, err := r.d.prepare(r.ctx, r.Revision, r.spec)
	if err != nil {
		return nil, err
	}
	path, err := lookPath(command[0])
	if err != nil {
		return nil, err
	}
	if !r.sockets.open {
		if err := r.sockets.make(r.spec.Port); err != nil {
			return nil, err
		}
	}
	group, err := r.d.cgroups.enter(r.ID, r.spec)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	c, err := startChild(r.ctx, program{
		command: append([]string{path}, command[1:]...), dir: dir, environment: r.environment(), mark: r.d.mark(r.ID),
		output: r.log.File(), passed: r.sockets.passed(), group: group,
	})
	if err != nil {
		return nil, fmt.Errorf("it cannot be started: %w", err)
	}
	r.began(c, at)
	return c, nil
}

// environment is all that a process gets, but for LISTEN_PID. What comes later
// goes before.
func (r *replica) environment() []string {
	all := make(map[string]string)
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			all[name] = value
		}
	}
	for _, e := range r.d.config.Environment {
		name, value, _ := strings.Cut(e, "=")
		all[name] = value
	}
	for name, value := range r.spec.Environment {
		all[name] = value
	}
	all["PORT"] = strconv.Itoa(r.sockets.port)
	all[markName] = r.d.mark(r.ID)
	list := make([]string, 0, len(all))
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// preparation is what comes before the first start of a revision, once for all
// of its replicas.
type preparation struct {
	turn    chan struct{} // full while somebody prepares
	command []string      // nil until it is done
	dir     string        // "": that of this program
}

// there reports whether it is done, and what came of it has not gone since: who
// deletes what nothing needs may do so just when somebody needs it again.
func (p *preparation) there() bool {
	if p.command == nil {
		return false
	}
	_, err := os.Stat(p.dir)
	if err == nil && filepath.IsAbs(p.command[0]) {
		_, err = os.Stat(p.command[0])
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// prepare returns the command of a revision, and its folder.
func (d *Deployer) prepare(ctx context.Context, id rollout.RevisionID, s rollout.Spec) (command []string, dir string, err error) {
	if s.Archive == nil && len(s.Command) > 0 {
		return s.Command, "", nil
	}
	d.mu.Lock()
	p := d.commands[id]
	if p == nil {
		p = &preparation{turn: make(chan struct{}, 1)}
		d.commands[id] = p
	}
	d.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	defer func() { <-p.turn }()
	if p.there() {
		return p.command, p.dir, nil
	}
	if s.Archive != nil {
		command, dir, err = d.unpacked(ctx, s.Archive)
	} else {
		command, dir, err = d.built(ctx, id, s)
	}
	if err == nil {
		p.command, p.dir = command, dir
	}
	return command, dir, err
}

// unpacked brings an archive into a folder. Its program is there, or one of this
// machine that runs what is there, such as node.
func (d *Deployer) unpacked(ctx context.Context, a *rollout.Archive) (command []string, dir string, err error) {
	dir, err = d.archives.Get(ctx, *a)
	if err != nil {
		return nil, "", err
	}
	dir = filepath.Join(d.config.Dir, archivesDir, dir)
	command = slices.Clone(a.Command)
	inside := filepath.Join(dir, filepath.FromSlash(command[0]))
	if _, err := os.Stat(inside); err == nil || strings.Contains(command[0], "/") {
		command[0] = inside
	}
	return command, dir, nil
}

// built lets the application make a program.
func (d *Deployer) built(ctx context.Context, id rollout.RevisionID, s rollout.Spec) (command []string, dir string, err error) {
	if d.config.Build == nil {
		return nil, "", d.check(s)
	}
	name := filepath.Join(buildsDir, id.Run)
	if !filepath.IsLocal(id.Run) || strings.ContainsAny(id.Run, `/\`) {
		return nil, "", fmt.Errorf("process: %w: run %q cannot be the name of a folder", rollout.ErrInvalid, id.Run)
	}
	if err := d.root.MkdirAll(name, 0o700); err != nil {
		return nil, "", err
	}
	dir = filepath.Join(d.config.Dir, name)
	command, err = d.config.Build(ctx, id, s.Clone(), dir)
	if err == nil && len(command) == 0 {
		err = fmt.Errorf("process: %w: Build returned no command", rollout.ErrInvalid)
	}
	return slices.Clone(command), dir, err
}

// addresses are the base URLs of where a process may answer.
func (s *sockets) addresses() (listener, port string) {
	return "http://127.0.0.1:" + strconv.Itoa(s.listening), "http://127.0.0.1:" + strconv.Itoa(s.port)
}

// hostName names this machine.
func hostName(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	name, err := os.Hostname()
	return cmp.Or(name, "localhost"), err
}
