package remove

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openOnly is how a folder is opened that need not be readable.
const openOnly = unix.O_PATH

// mountOf tells the mounts apart that open folders are reached by, also those
// of one device. It is 0 where the system does not say.
func mountOf(dir *os.File) uint64 {
	var info unix.Statx_t
	err := unix.Statx(int(dir.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &info)
	if err == nil && info.Mask&unix.STATX_MNT_ID != 0 {
		return info.Mnt_id
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", dir.Fd()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(id), 10, 64)
			return n
		}
	}
	return 0
}

// findMount returns the path of something that is mounted at dir or below it,
// or "".
func findMount(dir string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return findOther(dir) // there is no /proc here
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		path := unescaped.Replace(fields[4])
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return path, nil
		}
	}
	return "", lines.Err()
}

// unescaped undoes what the kernel does to these characters in paths.
var unescaped = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`)
