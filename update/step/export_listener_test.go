package step

// Quiet tells whether nothing is left of what the program's listeners have
// accepted.
func Quiet(p *Program) bool { return p.quiet() }

// Stop makes the program's listeners accept no more.
func Stop(p *Program) { p.stop() }

// OnExit is called in place of the end of the process.
func OnExit(p *Program, f func()) { p.exit = f }
