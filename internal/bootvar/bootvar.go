// Package bootvar is what boot loaders keep of what an image tells them.
package bootvar

import (
	"fmt"
	"strings"
)

// MaxSize is how many bytes of NAME=VALUE lines an image may have, so that those
// of two images fit where there is room for 8 KiB.
const MaxSize = 3 << 10

// Check refuses a name or a value that no boot loader keeps.
func Check(name, value string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("no boot loader keeps a variable %.64q with the value %.64q", name, value)
	}
	return nil
}

// CheckAll refuses those of an image that no boot loader keeps, or too many.
func CheckAll(all map[string]string) error {
	size := 0
	for name, value := range all {
		if err := Check(name, value); err != nil {
			return err
		}
		size += len(name) + len(value) + 2
	}
	if size > MaxSize {
		return fmt.Errorf("%d bytes of variables for the boot loader, at most %d are allowed", size, MaxSize)
	}
	return nil
}
