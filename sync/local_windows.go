package sync

import (
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

const nonblock = 0

var fullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}

// heldErrors are those of an entry that cannot be changed where it is, or not now: a
// program has it open.
var heldErrors = []error{
	windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_NOT_SAME_DEVICE, windows.ERROR_WRITE_PROTECT,
}

// refuses says why a name cannot be had.
func refuses(name string) string {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch {
	case strings.ContainsAny(name, `<>:"\|?*`), strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return "its name has a character that names here cannot have"
	case strings.HasSuffix(name, "."), strings.HasSuffix(name, " "):
		return "its name ends in a dot or a space"
	case stem == "CON", stem == "PRN", stem == "AUX", stem == "NUL",
		len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && stem[3] >= '1' && stem[3] <= '9':
		return "its name is that of a device"
	}
	return ""
}

// tagOf has nothing to tell besides what File has.
func tagOf(fs.FileInfo) (tag string, changed time.Time) { return "", time.Time{} }

// regular leaves it to file.
func (*LocalFiles) regular(uintptr, string, string) (File, bool) { return File{}, false }

// free is how many bytes there are.
func free(root *os.Root) (n int64, err error) {
	path, err := windows.UTF16PtrFromString(root.Name())
	if err != nil {
		return 0, err
	}
	var all uint64
	err = windows.GetDiskFreeSpaceEx(path, &all, nil, nil)
	return int64(all), err
}

func exchange(root *os.Root, p pair) error { return slowly(root, p) }
