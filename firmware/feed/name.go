package feed

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
)

// checkName refuses what is not the plain name of an object: a feed is flat.
func checkName(name string) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
	}
	if name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%w: object %.64q has no plain name", firmware.ErrInvalid, name)
	}
	return nil
}

// nameOf is the name of an object with this digest.
func nameOf(digest [32]byte) string { return hex.EncodeToString(digest[:]) }

// isObject reports whether a file has the name of an object.
func isObject(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 64 && strings.ToLower(name) == name
}
