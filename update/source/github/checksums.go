package github

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var (
	// sumLine is a line of sha256sum and of goreleaser: "<digits>  <name>", or
	// with a star before the name.
	sumLine = regexp.MustCompile(`^([0-9A-Fa-f]+)[ \t]+\*?(\S.*)$`)
	// bsdLine is a line of the tools of BSD: "SHA256 (<name>) = <digits>".
	bsdLine = regexp.MustCompile(`^SHA256 \((.+)\) = ([0-9A-Fa-f]+)$`)
)

// checksum returns the SHA-256 that a list has for the file of this name, nil
// for none. A list of a single file may have nothing but the digits. Lines
// about other files, and comments, are nobody's business.
func checksum(list []byte, name string) ([]byte, error) {
	var found []byte
	for line := range bytes.Lines(list) {
		digits, of := splitSum(strings.TrimRight(string(line), " \t\r\n"))
		if of == "" || strings.TrimPrefix(of, "./") != name {
			continue
		}
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("github: the checksum of %q is no SHA-256", name)
		}
		if found != nil && !bytes.Equal(found, sum) {
			return nil, fmt.Errorf("%w: %q has two checksums", ErrAmbiguous, name)
		}
		found = sum
	}
	if found == nil {
		if sum, err := hex.DecodeString(string(bytes.TrimSpace(list))); err == nil && len(sum) == sha256.Size {
			return sum, nil
		}
	}
	return found, nil
}

// splitSum returns the digits of a line and the file they are of.
func splitSum(line string) (digits, name string) {
	if f := bsdLine.FindStringSubmatch(line); f != nil {
		return f[2], f[1]
	}
	if f := sumLine.FindStringSubmatch(line); f != nil {
		return f[1], f[2]
	}
	return "", ""
}
