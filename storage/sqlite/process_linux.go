package sqlite

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is what tells one process of a boot from every other. It says
// "ended" of a process only when nothing else is possible.
type process struct {
	namespace string // of process ids and of time, such as "pid:[4026531836],time:[4026531834]"
	pid       int
	start     string // clock ticks after the boot, as the time namespace has them
	nonce     string // of the program: a process that executes another keeps all else
}

// identify returns the name of this process, and a function that reports that
// the process of another name has certainly ended. Where /proc is missing or
// shows the processes of others it finds that of none.
func identify() (name string, ended func(string) bool) {
	nonce := rand.Text()
	nobody := func(string) bool { return false }
	seen, err := os.Readlink("/proc/self")
	if err != nil || seen != strconv.Itoa(os.Getpid()) {
		return nonce, nobody
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nonce, nobody
	}
	if time, err := os.Readlink("/proc/self/ns/time"); err == nil {
		namespace += "," + time
	}
	stat, err := readStat(os.Getpid())
	if err != nil {
		return nonce, nobody
	}
	self := process{namespace, os.Getpid(), stat.start, nonce}
	return self.String(), func(name string) bool {
		var other process
		n, err := fmt.Sscan(name, &other.namespace, &other.pid, &other.start, &other.nonce)
		return err == nil && n == 4 && self.outlives(other)
	}
}

func (p process) String() string {
	return fmt.Sprintf("%s %d %s %s", p.namespace, p.pid, p.start, p.nonce)
}

// outlives judges a process of the same boot.
func (p process) outlives(other process) bool {
	if other.namespace != p.namespace {
		return false
	}
	if other.pid == p.pid && other.start == p.start {
		return other.nonce != p.nonce
	}
	if errors.Is(unix.Kill(other.pid, 0), unix.ESRCH) {
		return true
	}
	stat, err := readStat(other.pid)
	if err != nil {
		return false // /proc may hide the processes of other users
	}
	return stat.start != other.start || stat.zombie
}

type procStat struct {
	start  string
	zombie bool // it has ended, and its parent has not noticed yet
}

var errStat = errors.New("sqlite: cannot read the state of a process")

func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The second field is a name in brackets that may have any character.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const state, threads, start = 0, 17, 19 // fields 3, 20 and 22 of proc(5)
	if len(fields) <= start {
		return procStat{}, errStat
	}
	// Threads may outlive the first of them.
	single := fields[threads] == "0" || fields[threads] == "1"
	return procStat{start: fields[start], zombie: single && strings.Contains("ZX", fields[state])}, nil
}
