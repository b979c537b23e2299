package rollout

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// fewestTimed is how many requests have a 99th percentile.
const fewestTimed = 100

// handful is how many requests are enough to see that all of them fail.
const handful = 5

// patient is how many clients may leave for each that does not.
const patient = 4

// count compares what the Router has counted of both revisions in this step. A
// verdict that is bad counts at once, any other only at the end. Where the Router
// does not say, it is asked again.
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
		if w.base = stats.Revisions; w.base == nil {
			w.base = map[string]Counts{}
		}
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
		if w.looked[ownAnalysis] = m.Verdict != VerdictError; m.Verdict == VerdictError {
			w.again = time.Now().Add(countInterval)
		}
		w.came = append(w.came, result{m, w.moves})
	}
}

// compare judges what was counted.
func (r *runner) compare(m Measurement, fresh, stable Counts, beside bool) Measurement {
	tolerance := r.k.run.Strategy.Tolerance
	enough := int64(tolerance.Requests)
	if stable.Requests >= enough {
		r.now.Stable = &stable
	} else if beside && r.now.Stable == nil && stable.silent() {
		r.now.Stable = &Counts{Cancelled: stable.Cancelled} // which is enough to know that it is so
	} else if !beside && r.now.Stable != nil {
		stable = *r.now.Stable // as it was when it last had traffic
	}
	m.Values = map[string]float64{
		"requests": float64(fresh.Requests), "errors": fresh.failed(), "slow": fresh.p99(false).Seconds(),
		"stable_requests": float64(stable.Requests), "stable_errors": stable.failed(), "stable_slow": stable.p99(true).Seconds(),
		"cancelled": float64(fresh.Cancelled),
	}
	slow := tolerance.latest(stable.p99(true))
	worse := tolerance.exceeded(m)
	silent := fresh.silent() && !stable.silent()
	few := func(what string, c Counts) {
		m.Verdict = VerdictInconclusive
		m.Reason = fmt.Sprintf("%s%s, %d %s needed", many(c.Requests, "request"), what, enough, are(enough))
		if worse {
			m.Reason += fmt.Sprintf("; %d of %d failed", fresh.Errors, fresh.Requests)
		}
	}
	switch {
	case fresh.Requests == 0 && (stable.Requests == 0 || !beside) && !silent, r.k.run.From.Run == "" && !worse:
		return m // nobody asks, or there is nothing to be worse than
	case worse && (fresh.Requests >= enough && stable.Requests >= enough || fresh.Requests >= enough && beside ||
		fresh.Requests >= handful && fresh.Errors == fresh.Requests):
		m.Verdict = VerdictFail
		m.Reason = fmt.Sprintf("%.1f %% of %s failed, %.1f %% of the stable revision's", fresh.failed(), many(fresh.Requests, "request"), stable.failed())
	case silent:
		m.Verdict = VerdictInconclusive
		m.Reason = fmt.Sprintf("%s left, %d got an answer and %d an error", many(fresh.Cancelled, "client"), fresh.Requests-fresh.Errors, fresh.Errors)
	case fresh.Requests < enough:
		few("", fresh)
	case worse:
		few(" of the stable revision", stable)
	case tolerance.Slow > 0 && min(fresh.Requests, stable.Requests) >= max(enough, fewestTimed) && fresh.p99(false) > slow:
		m.Verdict = VerdictFail
		m.Reason = fmt.Sprintf("99 %% of the replies began later than %s, those of the stable revision within %s", fresh.p99(false), stable.p99(true))
	default:
		m.Verdict = VerdictPass
	}
	return m
}

// exceeded reports whether more has failed than may, however few that were.
func (t Tolerance) exceeded(m Measurement) bool {
	return m.Values["errors"] > m.Values["stable_errors"]+t.Errors
}

// latest is how late a reply may begin where those of the stable revision begin
// within a time: at most the longest there is, which none is later than.
func (t Tolerance) latest(than time.Duration) time.Duration {
	by, times := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	if than <= by-max(t.SlowBy, 0) {
		by = than + t.SlowBy
	}
	if f := t.Slow * float64(than); f < float64(times) {
		times = time.Duration(f)
	}
	return max(by, times)
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

// silent reports whether nearly all clients have left: a service that answers
// nothing looks so too.
func (c Counts) silent() bool { return c.Cancelled >= handful && c.Cancelled > patient*c.Requests }

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
