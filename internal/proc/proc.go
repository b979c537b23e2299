// Package proc tells one process from every other, also after a reboot and
// when its number has been given to another, and says what it uses.
package proc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID names a process. Two IDs are equal only if they are of one process; a
// process that executes another program stays the same. The zero ID is that of
// none, and is known of none to have ended.
type ID struct {
	// Namespace is the one of process ids and of time in which PID and Start
	// are meant, such as "pid:[4026531836],time:[4026531834]".
	Namespace string
	PID       int
	Start     string // clock ticks after the boot, as the time namespace has them
	Boot      string // BootID; "" where a sandbox hides it
}

// Usage is what processes use: processor time until now, and memory that is
// resident, in bytes, of which what they share counts for each.
type Usage struct {
	CPU    time.Duration
	Memory int64
}

var errID = errors.New("proc: not the name of a process")

// noBoot stands for a Boot that is "".
const noBoot = "-"

// String returns what ParseID takes: one line of words, "" for the zero ID.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	boot := id.Boot
	if boot == "" {
		boot = noBoot
	}
	return fmt.Sprintf("%s %d %s %s", id.Namespace, id.PID, id.Start, boot)
}

// ParseID returns the ID that String has written, and of another text an error.
func ParseID(text string) (ID, error) {
	words := strings.Fields(text)
	if len(words) != 4 || !strings.HasPrefix(words[0], "pid:[") {
		return ID{}, fmt.Errorf("%w: %q", errID, text)
	}
	pid, err := strconv.ParseInt(words[1], 10, 32)
	_, wrong := strconv.ParseUint(words[2], 10, 64)
	if err != nil || wrong != nil {
		return ID{}, fmt.Errorf("%w: %q", errID, text)
	}
	id := ID{Namespace: words[0], PID: int(pid), Start: words[2], Boot: words[3]}
	if id.Boot == noBoot {
		id.Boot = ""
	}
	if id.PID <= 0 || id.String() != text {
		return ID{}, fmt.Errorf("%w: %q", errID, text)
	}
	return id, nil
}
