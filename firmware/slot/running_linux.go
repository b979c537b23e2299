package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/firmware"
)

// rootSlot is the default of Config.Running.
func rootSlot(at paths) (string, error) {
	var root syscall.Stat_t
	if err := syscall.Stat("/", &root); err != nil {
		return "", err
	}
	devices := map[string]uint64{}
	for slot, p := range at {
		info, err := os.Stat(p.path)
		if err != nil {
			return "", err
		}
		device, ok := deviceOf(info)
		if !ok {
			return "", fmt.Errorf("%w: %q is no device: Config.Running has to tell which slot runs", firmware.ErrInvalid, p.path)
		}
		devices[slot] = device
	}
	return onRoot(uint64(root.Dev), devices, os.DirFS("/sys/dev/block")) //nolint:unconvert // Dev is shorter elsewhere
}

// onRoot returns the slot that the root file system is on. Between the two may
// be other devices, as with dm-verity, which /sys/dev/block tells of.
func onRoot(root uint64, slots map[string]uint64, system fs.FS) (string, error) {
	seen := map[string]bool{}
	next := []string{number(root)}
	var found []string
	for len(next) > 0 {
		device := next[0]
		next = next[1:]
		if seen[device] {
			continue
		}
		seen[device] = true
		for slot, d := range slots {
			if number(d) == device {
				found = append(found, slot)
			}
		}
		below, err := fs.ReadDir(system, path.Join(device, "slaves"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, entry := range below {
			text, err := fs.ReadFile(system, path.Join(device, "slaves", entry.Name(), "dev"))
			if err != nil {
				return "", err
			}
			next = append(next, strings.TrimSpace(string(text)))
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%w: the root file system, on device %s, is on %d of the two slots: Config.Running has to tell which one runs",
			firmware.ErrUnavailable, number(root), len(found))
	}
	return found[0], nil
}

// number is how /sys writes a device: "8:2".
func number(device uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
}
