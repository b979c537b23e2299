//go:build darwin || freebsd || windows

package slot

import (
	"fmt"

	"github.com/upkeep-go/upkeep/firmware"
)

func rootSlot(paths) (string, error) {
	return "", fmt.Errorf("%w: Config.Running has to tell which slot runs", firmware.ErrInvalid)
}
