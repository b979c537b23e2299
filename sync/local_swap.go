//go:build linux || darwin

package sync

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange gives a staged entry its name, in exchange for what has it, if
// anything has. A folder does not come out.
func exchange(root *os.Root, p pair) error {
	from, err := p.from.open()
	if err != nil {
		return err
	}
	to, err := p.to.open()
	if err != nil {
		return err
	}
	a, b := int(from.Fd()), int(to.Fd())
	for range 100 { // as somebody may make and remove it all the time
		if err = renameNew(a, p.name, b, p.base); !errors.Is(err, unix.EEXIST) {
			break
		}
		if err = renameSwap(a, p.name, b, p.base); errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			err = noFolder(a, b, p)
		}
		break
	}
	if isAny(err, cannot) {
		return slowly(root, p)
	}
	return err
}

// noFolder exchanges back, if what came out is a folder.
func noFolder(a, b int, p pair) error {
	info, err := p.from.Lstat(p.name)
	if err != nil || !info.IsDir() {
		return err
	}
	return errors.Join(inTheWay(p), renameSwap(a, p.name, b, p.base))
}
