package rollout

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
)

// progress is how far a run has come: what Run.Progress keeps.
type progress struct {
	Aim     aim            `json:"aim"`
	Full    int            `json:"full"`              // replicas of the new revision in the end
	Made    bool           `json:"made,omitempty"`    // Run.Revision is new
	Kept    bool           `json:"kept,omitempty"`    // Run.Revision is one that was kept
	Numbers map[string]int `json:"numbers,omitempty"` // replicas by revision, before
	// Of a revision that was kept: until when, and how many replicas it had.
	KeptUntil  time.Time `json:"kept_until,omitzero"`
	KeptNumber int       `json:"kept_number,omitempty"`

	Entered bool            `json:"entered,omitempty"` // the traffic of Run.Step is set
	Pause   pauseCause      `json:"pause,omitempty"`   // why it is paused
	Hooks   map[string]bool `json:"hooks,omitempty"`   // by name: begun, and true once done
	Rows    map[string]row  `json:"rows,omitempty"`    // by analysis
	Stable  *Counts         `json:"stable,omitempty"`  // of the last step in which the stable revision had enough traffic
	Back    *goingBack      `json:"back,omitempty"`    // once it goes back
}

// pauseCause says what paused a run.
type pauseCause string

const (
	pauseManual   pauseCause = "manual"   // the step wants it
	pauseWish     pauseCause = "wish"     // somebody does
	pauseGate     pauseCause = "gate"     // asked again every minute
	pauseAnalysis pauseCause = "analysis" // nobody knows how the new revision is
)

// row is how often in a row an analysis had a verdict.
type row struct {
	Verdict Verdict `json:"verdict"`
	Count   int     `json:"count"`
}

// goingBack is how far a run has come on its way back.
type goingBack struct {
	To    State `json:"to"`              // StateRolledBack or StateCancelled
	Moved bool  `json:"moved,omitempty"` // the traffic is where it was
}

// progressOf reads what a run keeps: of a live one that can be read (Run.mend).
func progressOf(run Run) (p progress) {
	_ = json.Unmarshal(run.Progress, &p)
	return p
}

func (p progress) put(run *Run) {
	run.Progress, _ = json.Marshal(p) // of texts and numbers only
}

// need is how many replicas a step needs of the new revision.
func need(step Step, full, share, target int) int {
	switch {
	case step.Replicas > 0:
		return step.Replicas
	case target == 0:
		return full
	}
	return max(1, ceil(full*share, target))
}

func ceil(a, b int) int { return int(math.Ceil(float64(a) / float64(b))) }

// matches are the rules of a step: before those that there are.
func matches(to RevisionID, step Step) []Rule {
	var rules []Rule
	for _, m := range step.Match {
		rules = append(rules, Rule{Version: to.Version, Run: to.Run, Match: m, Priority: math.MinInt32})
	}
	return rules
}

// stepping returns a split with the rules of a step, and of no other.
func stepping(s Split, to RevisionID, step Step) Split {
	s.Rules = slices.DeleteFunc(slices.Clone(s.Rules), func(r Rule) bool { return r.Run == to.Run && r.Priority == math.MinInt32 })
	s.Rules = append(matches(to, step), s.Rules...)
	return s
}

// separate returns a copy that shares nothing with p that could change.
func (p progress) separate() progress {
	p.Hooks, p.Rows, p.Numbers = maps.Clone(p.Hooks), maps.Clone(p.Rows), maps.Clone(p.Numbers)
	p.Stable, p.Back = clone(p.Stable), clone(p.Back)
	return p
}
