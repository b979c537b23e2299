package ignore

// Steps returns how many steps the rules of r take to match path, which are
// sought for all of them, and how many they may take.
func (r Rules) Steps(path string) (taken, most int) {
	for _, rule := range r.list {
		_, steps := rule.glob.match(path)
		taken += steps
		if len(path) >= rule.glob.least {
			most += len(rule.glob.parts) * (len(path) + 1)
		}
	}
	return taken, most
}
