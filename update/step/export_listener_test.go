package step

// Quiet tells whether nothing is left of what the program's listeners have
// accepted.
func Quiet(p *Program) bool { return p.quiet() }

// Stop makes the program's listeners accept no more.
func Stop(p *Program) { p.stop() }
