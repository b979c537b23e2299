package step

// writable cannot ask here: the step itself finds out.
func writable(string) error { return nil }
