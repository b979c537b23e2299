package dir

import (
	"os"

	"github.com/upkeep-go/upkeep/internal/durable"
)

// Fresh is the folder of what is being put.
const Fresh = fresh

// Renaming is Open for a file system that has no links.
func Renaming(root *os.Root) (*Remote, error) { return open(root, durable.In(root), ways[1:]) }

// On is Open on a disk.
func On(root *os.Root, disk durable.Disk) (*Remote, error) { return open(root, disk, ways) }

// Neither is Open for a file system that has neither links nor such renames.
func Neither(root *os.Root) (*Remote, error) { return open(root, durable.In(root), nil) }
