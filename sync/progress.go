package sync

import "time"

const (
	tellEvery = 250 * time.Millisecond // an EventProgress
	maxLogged = 1000                   // events of EventRetry of a run
)

// shares are the percent at which each step begins and ends.
var shares = map[Step][2]int{
	StepScan: {0, 10}, StepMerge: {10, 12}, StepUpload: {12, 55}, StepDownload: {55, 95}, StepApply: {95, 100}, StepCompact: {0, 100},
}

// hear is told how far the engine has come. It writes no more than others can
// read, and ends the work where that is safe.
func (r *runner) hear(now report) {
	if r.f.door.Shut() {
		r.cancel(errClosing)
	}
	event := Event{Kind: EventProgress, Path: now.Path}
	switch begins := now.Step != r.run.Step; {
	case now.Retry != nil:
		if r.logged++; r.logged > maxLogged {
			return
		}
		event.Kind, event.Message = EventRetry, cut(now.Retry.Error(), maxReason)
	case begins:
		event.Kind = EventStep
	case time.Since(r.told) < tellEvery:
		r.run.Progress = now.Progress
		return
	}
	r.told = time.Now()
	r.run.Step, r.run.Progress = now.Step, now.Progress
	r.run.Percent = max(r.run.Percent, percent(now))
	_ = r.write(event) // if the lease is lost the work ends by that, and else the next one tells
}

func percent(now report) int {
	share := shares[now.Step]
	done, all := now.Progress.Bytes, now.Progress.AllBytes
	if all == 0 {
		done, all = now.Progress.Files, now.Progress.AllFiles
	}
	if all <= 0 || done <= 0 {
		return share[0]
	}
	return share[0] + int(float64(share[1]-share[0])*float64(min(done, all))/float64(all))
}
