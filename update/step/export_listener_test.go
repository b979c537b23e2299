package step

import "time"

// Quiet tells whether nothing is left of what the program's listeners have
// accepted.
func Quiet(p *Program) bool { return p.quiet() }

// Age makes the connections older that the program's listeners have accepted.
func Age(p *Program, by time.Duration) {
	for _, l := range p.listeners {
		l.mu.Lock()
		for a := range l.open {
			a.at = a.at.Add(-by)
		}
		l.mu.Unlock()
	}
}

// Stop makes the program's listeners accept no more.
func Stop(p *Program) { p.stop() }

// OnExit is called in place of the end of the process.
func OnExit(p *Program, f func()) { p.exit = f }
