package step

// Quiet tells whether nothing is left of what the program's closed listeners
// have accepted.
func Quiet(p *Program) bool { return p.quiet() }
