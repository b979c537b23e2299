package output

import (
	"fmt"
	"os"
	"strings"
)

// owns reports whether a file is, or was before it was deleted, below the folder
// of all logs. A process may print into a file of its own, or have closed what it
// was given and opened another one, which has its number then.
func (k *Keeper) owns(f *os.File) bool {
	folder, err := k.root.Open(".")
	if err != nil {
		return false
	}
	defer folder.Close()
	path, err := whereIs(f)
	if err != nil {
		return false
	}
	root, err := whereIs(folder)
	return err == nil && strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}

func whereIs(f *os.File) (path string, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return "", err
	}
	if e := conn.Control(func(fd uintptr) { path, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) }); e != nil {
		return "", e
	}
	return path, err
}
