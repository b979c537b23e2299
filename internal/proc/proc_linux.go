package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc, on every Linux that Go runs on.
const tick = time.Second / 100

// BootID names the boot of the machine. It is "" where a sandbox hides it.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Self returns the ID of this process, and the zero ID where /proc is missing or
// shows the processes of others.
func Self() ID {
	id, _ := self()
	return id
}

var self = sync.OnceValues(func() (ID, error) {
	seen, err := os.Readlink("/proc/self")
	if err != nil {
		return ID{}, err
	}
	if seen != strconv.Itoa(os.Getpid()) {
		return ID{}, fmt.Errorf("proc: /proc is of another pid namespace: %w", errors.ErrUnsupported)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ID{}, err
	}
	if time, err := os.Readlink("/proc/self/ns/time"); err == nil {
		namespace += "," + time
	}
	s, err := readStat(os.Getpid())
	if err != nil {
		return ID{}, err
	}
	return ID{Namespace: namespace, PID: os.Getpid(), Start: s.start, Boot: BootID()}, nil
})

// Of returns the ID of the process that has this pid now, be it a zombie. That
// there is none is an os.ErrNotExist. Who keeps an ID and is about to send a
// signal sees by Of that its PID is still the same process's.
func Of(pid int) (ID, error) {
	own, err := self()
	if err != nil {
		return ID{}, err
	}
	s, err := readStat(pid)
	if err != nil {
		return ID{}, err
	}
	return ID{Namespace: own.Namespace, PID: pid, Start: s.start, Boot: own.Boot}, nil
}

// Ended reports that the process has certainly ended: only when nothing else is
// possible. A zombie has. It cannot tell of a process of another namespace, nor
// of one that /proc hides.
func (id ID) Ended() bool {
	own := Self()
	switch {
	case own == ID{} || id.PID <= 0 || id == own:
		return false
	case id.Boot != "" && own.Boot != "" && id.Boot != own.Boot:
		return true
	case id.Namespace != own.Namespace:
		return false
	case errors.Is(unix.Kill(id.PID, 0), unix.ESRCH):
		return true
	}
	s, err := readStat(id.PID)
	if err != nil {
		return false // /proc may hide the processes of other users
	}
	return s.start != id.Start || s.zombie
}

// StartedAt returns when the process was started, to a hundredth of a second, by
// this clock as it goes now.
func (id ID) StartedAt() time.Time {
	ticks, err := strconv.ParseInt(id.Start, 10, 64)
	var now unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ticks)*tick - time.Duration(now.Nano()))
}

// Groups returns what the process groups use, by their numbers, but for what
// /proc hides.
func Groups() (map[int]Usage, error) {
	if _, err := self(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	groups := make(map[int]Usage)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && !s.zombie {
			u := groups[s.group]
			u.CPU += time.Duration(s.ticks) * tick
			u.Memory += s.pages * int64(os.Getpagesize())
			groups[s.group] = u
		}
	}
	return groups, nil
}

// stat is what /proc says of a process.
type stat struct {
	group  int
	zombie bool // it has ended, and its parent has not noticed yet
	ticks  int64
	start  string
	pages  int64
}

var errStat = errors.New("proc: cannot read the state of a process")

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, unix.ESRCH) {
		err = os.ErrNotExist // it has gone since the file was opened
	}
	if err != nil {
		return stat{}, err
	}
	// The second field is a name in brackets that may have any character.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	// Fields 3, 5, 14, 15, 20, 22 and 24 of proc(5).
	const state, group, user, system, threads, start, pages = 0, 2, 11, 12, 17, 19, 21
	if len(fields) <= pages {
		return stat{}, errStat
	}
	number := func(field int) int64 {
		n, e := strconv.ParseInt(fields[field], 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s := stat{
		group: int(number(group)), ticks: number(user) + number(system), start: fields[start], pages: number(pages),
		// Threads may outlive the first of them.
		zombie: number(threads) <= 1 && strings.Contains("ZX", fields[state]),
	}
	if err != nil {
		return stat{}, errStat
	}
	return s, nil
}

// Group returns the pids of a process group, by its number, but for zombies and
// for what /proc hides.
func Group(pgid int) (pids []int, err error) {
	if _, err := self(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.group == pgid && !s.zombie {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
