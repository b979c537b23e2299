//go:build darwin || freebsd || windows

package sqlite

import "crypto/rand"

// identify returns a name that nobody can judge: on this system the lease of a
// process that was killed lasts until its time is over.
func identify() (name string, ended func(string) bool) {
	return rand.Text(), func(string) bool { return false }
}
