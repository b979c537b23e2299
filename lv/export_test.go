package lv

// Compile gives tests what a Service keeps of a strategy's rules.
func Compile(r Rules) func(Attributes) bool {
	match, err := r.compile("")
	if err != nil {
		panic(err)
	}
	return match
}
