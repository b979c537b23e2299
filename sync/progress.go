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

// readingShare is that of a scan that knows how much there is to read: a first one.
// What it reads it sends.
var readingShare = [2]int{0, 40}

// hear is told how far the engine has come. It writes no more than others can
// read, and ends the work where that is safe.
func (r *runner) hear(now report) {
	if r.f.door.Shut() {
		r.cancel(errClosing)
	}
	event := Event{Kind: EventProgress, Path: now.Path}
	switch {
	case now.Retry != nil:
		if r.logged++; r.logged > maxLogged {
			return
		}
		event.Kind, event.Message = EventRetry, cut(now.Retry.Error(), maxReason)
	case now.Step != r.run.Step:
		event.Kind, r.from = EventStep, r.run.Percent
	}
	r.run.Step, r.run.Progress = now.Step, now.Progress
	r.run.Percent = max(r.run.Percent, percent(now, r.from))
	if event.Kind == EventProgress && time.Since(r.told) < tellEvery {
		return
	}
	r.told = time.Now()
	_ = r.write(event) // if the lease is lost the work ends by that, and else the next one tells
}

// percent is how far a run has come that was at from when the step began.
func percent(now report, from int) int {
	share := shares[now.Step]
	done, all := now.Progress.Bytes, now.Progress.AllBytes
	if now.Step == StepScan && all > 0 {
		share = readingShare
	}
	if all == 0 {
		done, all = now.Progress.Files, now.Progress.AllFiles
	}
	begin := max(share[0], from)
	if all <= 0 || done <= 0 || begin >= share[1] {
		return begin
	}
	return begin + int(float64(share[1]-begin)*float64(min(done, all))/float64(all))
}
