package slot

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
)

// KernelArgument is a Config.Running: it reads which slot runs from the command
// line of the Linux kernel, where a boot loader's script has left it as
// NAME=a or NAME=b.
func KernelArgument(name string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return "", err
		}
		return argument(string(text), name)
	}
}

func argument(line, name string) (string, error) {
	all := strings.Fields(line)
	for _, arg := range slices.Backward(all) { // the last one counts
		if value, found := strings.CutPrefix(arg, name+"="); found {
			return value, nil
		}
	}
	return "", fmt.Errorf("%w: the kernel was given no %s=a nor %s=b", firmware.ErrUnavailable, name, name)
}
