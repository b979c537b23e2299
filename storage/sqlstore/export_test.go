package sqlstore

// ParseBeginning is what a script has to be.
func ParseBeginning(script string) (given, begin string, locked bool, err error) {
	b, err := parseBeginning(script)
	return b.given, b.begin, b.locked, err
}
