package rollout

import (
	"errors"
	"fmt"
	"time"
)

// count compares what the Router has counted of both revisions in this step. A
// verdict that is bad counts at once, any other only at the end.
func (w *watch) count(last bool) {
	r := w.r
	stats, err := r.c.config.Router.Stats(w.ctx, r.k.svc.ID)
	if errors.Is(err, errors.ErrUnsupported) {
		w.looked[ownAnalysis] = true
		return
	}
	m := Measurement{Name: ownAnalysis, Time: time.Now().UTC().Truncate(time.Millisecond)}
	switch {
	case err != nil:
		m.Verdict, m.Reason = VerdictError, err.Error()
	case w.base == nil:
		m.Verdict, m.Reason = VerdictError, "the Router did not say what it had counted before"
		w.base = stats.Revisions
	default:
		fresh := stats.Revisions[r.id2()].less(w.base[r.id2()])
		stable := stats.Revisions[r.k.run.From.Run].less(w.base[r.k.run.From.Run])
		beside := r.k.svc.Split.percent(r.k.run.From.Run) > 0
		m = r.compare(m, fresh, stable, beside)
	}
	if m.Verdict == "" { // there is nothing to compare with
		w.looked[ownAnalysis] = w.looked[ownAnalysis] || last
		return
	}
	if last || m.Verdict == VerdictFail {
		w.looked[ownAnalysis] = true
		w.came = append(w.came, result{m, w.moves})
	}
}

// compare judges what was counted.
func (r *runner) compare(m Measurement, fresh, stable Counts, beside bool) Measurement {
	tolerance := r.k.run.Strategy.Tolerance
	enough := int64(tolerance.Requests)
	if stable.Requests >= enough {
		r.now.Stable = &stable
	} else if !beside && r.now.Stable != nil {
		stable = *r.now.Stable // as it was when it last had traffic
	}
	m.Values = map[string]float64{
		"requests": float64(fresh.Requests), "errors": fresh.failed(), "slow": fresh.p99(false).Seconds(),
		"stable_requests": float64(stable.Requests), "stable_errors": stable.failed(), "stable_slow": stable.p99(true).Seconds(),
	}
	slow := time.Duration(tolerance.Slow * float64(stable.p99(true)))
	switch {
	case !beside && (fresh.Requests < enough || stable.Requests < enough):
		return m
	case fresh.Requests < enough:
		m.Verdict = VerdictInconclusive
		m.Reason = fmt.Sprintf("%d requests, %d are needed", fresh.Requests, enough)
	case fresh.failed() > stable.failed()+tolerance.Errors:
		m.Verdict = VerdictFail
		m.Reason = fmt.Sprintf("%.1f %% of %d requests failed, %.1f %% of the stable revision's", fresh.failed(), fresh.Requests, stable.failed())
	case stable.Requests >= enough && fresh.p99(false) > slow:
		m.Verdict = VerdictFail
		m.Reason = fmt.Sprintf("99 %% of the replies began later than %s, those of the stable revision within %s", fresh.p99(false), stable.p99(true))
	default:
		m.Verdict = VerdictPass
	}
	return m
}

// less returns what was counted since before.
func (c Counts) less(before Counts) Counts {
	earlier := map[time.Duration]int64{}
	for _, b := range before.Latency {
		earlier[b.Within] = b.Count
	}
	d := Counts{
		Requests: max(0, c.Requests-before.Requests), Errors: max(0, c.Errors-before.Errors),
		Cancelled: max(0, c.Cancelled-before.Cancelled),
	}
	for _, b := range c.Latency {
		d.Latency = append(d.Latency, Bucket{Within: b.Within, Count: max(0, b.Count-earlier[b.Within])})
	}
	return d
}

// failed is the share of failed requests in percent.
func (c Counts) failed() float64 {
	if c.Requests == 0 {
		return 0
	}
	return 100 * float64(c.Errors) / float64(c.Requests)
}

// p99 is a bound of the 99th percentile of latency: the upper one, or the lower
// one of its bucket, so that what is within one bucket is no difference.
func (c Counts) p99(upper bool) time.Duration {
	var sum, seen int64
	for _, b := range c.Latency {
		sum += b.Count
	}
	lower := time.Duration(0)
	for _, b := range c.Latency {
		if seen += b.Count; sum > 0 && seen*100 >= sum*99 {
			if upper {
				return b.Within
			}
			return lower
		}
		lower = b.Within
	}
	return lower
}
