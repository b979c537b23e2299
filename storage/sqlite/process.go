package sqlite

import (
	"crypto/rand"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/proc"
)

// identify returns the name of this process, and a function that reports that
// the process of another name, of the same boot, has certainly ended. A name is
// the words of a proc.ID, but for the boot, and one more. Where processes are
// not known by what they are it is that word alone, which nobody can judge: the
// lease of a process that was killed lasts until its time is over.
func identify() (name string, ended func(string) bool) {
	nonce := rand.Text() // of the program: a process that executes another keeps all else
	self := proc.Self()
	if self == (proc.ID{}) {
		return nonce, func(string) bool { return false }
	}
	name = fmt.Sprintf("%s %d %s %s", self.Namespace, self.PID, self.Start, nonce)
	return name, func(name string) bool {
		other, program := proc.ID{Boot: self.Boot}, ""
		n, err := fmt.Sscan(name, &other.Namespace, &other.PID, &other.Start, &program)
		switch {
		case err != nil || n != 4:
			return false
		case other == self:
			return program != nonce
		}
		return other.Ended()
	}
}
