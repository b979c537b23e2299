package step

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/filelock"
)

// The folder beside a program holds these.
const (
	trialFile    = "trial.json"
	newPrefix    = "new-"    // a program that is being written, by run
	oldPrefix    = "old-"    // one that was replaced, by run
	backPrefix   = "back-"   // an old one, while it is put back
	undonePrefix = "undone-" // a new one that an old one has replaced
	lockFile     = "lock"
)

// lockWait bounds how long a start waits for another one to be counted.
const lockWait = 10 * time.Second

// place is where a program's file is, and the folder beside it that holds what
// belongs to its replacement.
type place struct {
	disk durable.Disk
	path string // not a link
	// gap is set where a program that runs cannot be replaced in one rename:
	// it is renamed aside first, and for a moment there is none.
	gap bool
}

// findProgram returns the file of a program, links followed; "" is the one
// that runs.
func findProgram(path string) (string, error) {
	var err error
	if path == "" {
		path, err = os.Executable()
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("finding the program's file: %w", err)
	}
	return path, nil
}

func (p place) dir() string { return filepath.Dir(p.path) }

// beside returns the path of a name in the folder beside the program.
func (p place) beside(name string) string {
	return filepath.Join(p.dir(), "."+filepath.Base(p.path)+".upkeep", name)
}

// lock keeps all others from changing anything of the place.
func (p place) lock(ctx context.Context) (release func() error, err error) {
	if err := p.checkOwner(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	return filelock.Acquire(ctx, p.beside(lockFile))
}

// locked calls f with the last trial, or nil, while all others are kept from
// changing anything of the place.
func (p place) locked(ctx context.Context, f func(last *trial) error) error {
	release, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	last, err := p.readTrial()
	if err != nil {
		return err
	}
	return f(last)
}

// fileID tells a file from another by its content. Times do not: some packages
// give all their files the same one.
type fileID struct {
	Size   int64
	SHA256 string
}

// identify reads a file.
func identify(ctx context.Context, path string, sign func(n int64)) (fileID, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileID{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, steady(ctx, f, sign))
	return fileID{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// is reports whether the program's file is this one.
func (p place) is(ctx context.Context, id fileID) (bool, error) {
	info, err := os.Stat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.Size() != id.Size || id.SHA256 == "" {
		return false, err
	}
	there, err := identify(ctx, p.path, func(int64) {})
	return there.SHA256 == id.SHA256, err
}

// expect returns errReplaced unless the program's file is this one.
func (p place) expect(ctx context.Context, id fileID) error {
	there, err := p.is(ctx, id)
	if err == nil && !there {
		err = errReplaced
	}
	return err
}

// trialState says how a trial stands.
type trialState string

const (
	onTrial   trialState = "on trial"
	confirmed trialState = "confirmed"
	goneBack  trialState = "gone back" // written before the old program is put back
)

// trial is what is known of a new program since it was put in the place of the
// old one.
type trial struct {
	Run     string // that brought it
	Version string
	State   trialState
	Reason  string // why it has gone back
	New     fileID
	Aside   string // name of the old program beside it
	Before  string // name of the one that was there before that, or ""
	Starts  int    // since then
	// Limit and Within are how often it may start, and how long it may take
	// each time, until it is confirmed.
	Limit  int
	Within time.Duration
}

// readTrial returns the last trial, or nil.
func (p place) readTrial() (*trial, error) {
	if err := p.checkOwner(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(p.beside(trialFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var tr trial
	if err := json.Unmarshal(data, &tr); err != nil {
		return nil, fmt.Errorf("reading %q: %w", p.beside(trialFile), err)
	}
	return &tr, nil
}

func (p place) writeTrial(tr trial) error {
	return writeJSON(p.disk, p.beside(trialFile), tr, 0o600)
}

// count notes a start of the program that is in place. It returns its trial,
// nil if it is on none; back tells that it had started too often, or was to go
// back before, and that the old program is in its place now.
func (p place) count(ctx context.Context) (tr *trial, back bool, err error) {
	tr, err = p.readTrial()
	if tr == nil || err != nil || tr.State == confirmed {
		return nil, false, err
	}
	there, err := p.is(ctx, tr.New)
	switch {
	case err != nil || !there:
		return nil, false, err // it is the old one, or somebody else's
	case tr.State == goneBack && !exists(p.beside(tr.Aside)):
		return nil, false, nil // it was put there again by hand
	case tr.State == goneBack:
		return nil, true, p.putBack(tr.Aside)
	case tr.Starts >= tr.Limit:
		return nil, true, p.goBack(*tr, tooOften(*tr))
	}
	tr.Starts++
	return tr, false, p.writeTrial(*tr)
}

func tooOften(tr trial) string {
	return fmt.Sprintf("it was started %d times and did not confirm itself", tr.Starts)
}

// goBack ends a trial: the old program takes its place again.
func (p place) goBack(tr trial, reason string) error {
	tr.State, tr.Reason = goneBack, reason
	if err := p.writeTrial(tr); err != nil {
		return err
	}
	return p.putBack(tr.Aside)
}

// putBack gives the old program its name again. The name aside stays until that
// is durable.
func (p place) putBack(aside string) error {
	if p.gap && exists(p.path) {
		if err := p.disk.Rename(p.path, p.beside(undonePrefix+rand.Text())); err != nil {
			return err
		}
	}
	fresh := p.beside(backPrefix + rand.Text())
	if err := p.link(p.beside(aside), fresh); err != nil {
		return err
	}
	if err := p.disk.Rename(fresh, p.path); err != nil {
		return errors.Join(err, p.disk.Remove(fresh))
	}
	if err := p.disk.SyncDir(p.dir()); err != nil {
		return err
	}
	return durable.RemoveOn(p.disk, p.beside(aside))
}

// repair puts the old program back where a process has died in the gap.
func (p place) repair() error {
	if !p.gap || exists(p.path) {
		return nil
	}
	tr, err := p.readTrial()
	if err != nil || tr == nil || !exists(p.beside(tr.Aside)) {
		return err
	}
	return p.putBack(tr.Aside)
}
