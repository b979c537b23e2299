package rollout

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// Limits of what the record of a run keeps.
const (
	mostStates       = 400
	mostMeasurements = 100 // of all states
	mostValues       = 32  // of a measurement
	maxFinding       = 512 // bytes of its reason
	// mostAlike is how many events in a row say the same, before only every
	// second, fourth, eighth … does.
	mostAlike = 10
)

// told reports whether the nth of what says the same is worth an event.
func told(n int) bool { return n <= mostAlike || bits.OnesCount(uint(n)) == 1 }

// bounded keeps what a function of the application has found within limits.
func (m Measurement) bounded() Measurement {
	m.Reason = cut(m.Reason, maxFinding)
	if m.Verdict != VerdictPass && m.Verdict != VerdictFail && m.Verdict != VerdictInconclusive {
		m.Verdict, m.Reason = VerdictError, cmp.Or(m.Reason, "it has no verdict")
	}
	names := slices.Sorted(maps.Keys(m.Values))
	values := make(map[string]float64, min(len(names), mostValues))
	for _, name := range names[:min(len(names), mostValues)] {
		values[cut(name, maxName)] = m.Values[name]
	}
	if m.Values != nil {
		m.Values = values
	}
	return m
}

// trim forgets what a run that lasts long has too much of: states without a
// verdict that was bad, and measurements that the next one of the same analysis
// has repeated; the oldest first, and the first and the last never.
func (r *Run) trim() {
	for len(r.States) > mostStates {
		i := slices.IndexFunc(r.States[1:len(r.States)-1], func(s StateRecord) bool { return !s.decides() })
		r.States = slices.Delete(r.States, max(i, 0)+1, max(i, 0)+2)
	}
	sum := 0
	for _, s := range r.States {
		sum += len(s.Measurements)
	}
	for ; sum > mostMeasurements; sum-- {
		r.forget()
	}
}

// forget forgets one measurement.
func (r *Run) forget() {
	oldest := -1
	for i := range r.States {
		all := r.States[i].Measurements
		for j, m := range all {
			next := slices.IndexFunc(all[j+1:], func(o Measurement) bool { return o.Name == m.Name })
			if next >= 0 && all[j+1+next].Verdict == m.Verdict {
				r.States[i].Measurements = slices.Delete(all, j, j+1)
				return
			}
		}
		if oldest < 0 && len(all) > 0 {
			oldest = i
		}
	}
	r.States[oldest].Measurements = slices.Delete(r.States[oldest].Measurements, 0, 1)
}

// decides reports whether a state was left, or may have been, for a verdict.
func (s StateRecord) decides() bool {
	return slices.ContainsFunc(s.Measurements, func(m Measurement) bool { return m.Verdict != VerdictPass })
}
