package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/rollout"
)

// cgroups is the folder of control groups that a Deployer may divide, with one
// for each replica. The zero cgroups enforces nothing.
type cgroups struct {
	root        *os.Root // nil without one
	cpu, memory bool     // enforced
}

// openCgroups uses a folder of the second version of control groups, which has
// no processes of its own. That one cannot be used is an error: who names it
// wants limits.
func openCgroups(dir string) (g cgroups, err error) {
	if dir == "" {
		return g, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return g, err
	}
	if g.root, err = os.OpenRoot(dir); err != nil {
		return g, fmt.Errorf("process: Config.Cgroup: %w", err)
	}
	has, err := g.root.ReadFile("cgroup.controllers")
	if err != nil {
		return g, errors.Join(fmt.Errorf("process: Config.Cgroup: %w", err), g.root.Close())
	}
	for name, enforced := range map[string]*bool{"cpu": &g.cpu, "memory": &g.memory} {
		if slices.Contains(strings.Fields(string(has)), name) {
			*enforced = g.write("cgroup.subtree_control", "+"+name) == nil
		}
	}
	return g, nil
}

func (g *cgroups) close() error {
	if g.root == nil {
		return nil
	}
	return g.root.Close()
}

// write writes into a file that the system has made.
func (g *cgroups) write(name, value string) error {
	f, err := g.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// cpuPeriod is the time in which a group may use its part of it, in microseconds.
const cpuPeriod = 100_000

// enter makes the group of a replica with the limits of its content, and returns
// the path of the file by which a process enters it, or "" without limits.
func (g *cgroups) enter(id string, s rollout.Spec) (procs string, err error) {
	limits := map[string]string{}
	if g.cpu && s.CPU != nil {
		limits["cpu.max"] = fmt.Sprintf("%d %d", max(int(*s.CPU*cpuPeriod), 1000), cpuPeriod)
	}
	if g.memory && s.Memory != nil {
		limits["memory.max"] = strconv.FormatInt(*s.Memory, 10)
	}
	if len(limits) == 0 {
		return "", nil
	}
	if err := g.root.Mkdir(id, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("the limits cannot be set: %w", err)
	}
	for name, value := range limits {
		if err := g.write(id+"/"+name, value); err != nil {
			return "", fmt.Errorf("the limits cannot be set: %w", err)
		}
	}
	return g.root.Name() + "/" + id + "/cgroup.procs", nil
}

// emptyTime is how long the system may take to end what is in a group.
const emptyTime = 10 * time.Second

// remove removes the group of a replica of which nothing is left, but perhaps what
// nothing else tells to be of it any more: the system ends that, since Linux 5.14.
func (g *cgroups) remove(ctx context.Context, id string) error {
	if g.root == nil {
		return nil
	}
	ctx, done := context.WithTimeout(ctx, emptyTime)
	defer done()
	ends := g.write(id+"/cgroup.kill", "1") == nil
	for {
		err := g.root.Remove(id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case !ends || !errors.Is(err, syscall.EBUSY) || pause.For(ctx, 10*time.Millisecond) != nil:
			return err
		}
	}
}
