package suitetest

import "time"

// TakeTurns lets two take turns, so many batches of n and m calls each, and returns
// the medians of what a call of each takes in nanoseconds. The batches are to be
// short where so little time is taken that the caches matter, which the other
// empties.
func TakeTurns(batches, n int, ours func(i int), m int, theirs func(i int)) (fast, slow float64) {
	var first, second []float64
	for len(first) < 250 {
		for range batches {
			first = append(first, timed(n, ours))
		}
		for range batches {
			second = append(second, timed(m, theirs))
		}
	}
	return Median(first), Median(second)
}

// timed returns how long a call of f takes, in nanoseconds.
func timed(n int, f func(i int)) float64 {
	began := time.Now()
	for i := range n {
		f(i)
	}
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}
