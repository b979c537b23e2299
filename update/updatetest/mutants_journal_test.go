package updatetest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

const (
	createIsNew   = "a new run has rev 1 and the engine's times"
	createTrip    = "a run comes back as it was written"
	createFirst   = "a run knows its first event"
	createRequest = "a repeated request returns the first run of the package"
	createFence   = "a run cannot be created with an overtaken token"
	createText    = "texts come back byte by byte"
	createData    = "large data comes back byte by byte"
)

var createMutants = []mutant{
	{What: "counts saves from zero", Caught: createIsNew, Wrap: answered(func(_ update.Run, a *update.Run) { a.Rev-- })},
	{What: "takes the caller's times", Caught: createIsNew, Wrap: answered(func(r update.Run, a *update.Run) { a.CreatedAt = r.CreatedAt })},
	{What: "takes the caller's end", Caught: createIsNew, Wrap: answered(func(r update.Run, a *update.Run) { a.EndedAt = r.EndedAt })},
	{What: "drops the signature", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) { r.Release.Signature = nil })},
	{What: "drops who cancelled", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) { r.Cancel = nil })},
	{What: "drops why somebody asked", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) { r.Request.By.Reason = "" })},
	{What: "keeps seconds", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) { r.Release.Time = r.Release.Time.Truncate(time.Second) })},
	{What: "has no zero time", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) {
		if r.Release.Time.IsZero() {
			r.Release.Time = time.Unix(0, 0).UTC()
		}
	})},
	{What: "sorts steps", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) {
		slices.SortFunc(r.Steps, func(a, b update.StepRecord) int { return cmp.Compare(a.Name, b.Name) })
	})},
	{What: "forgets what a step is like", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			r.Steps[i].Weight, r.Steps[i].Final, r.Steps[i].NoUndo = 0, false, false
		}
	})},
	{What: "tidies JSON", Caught: createTrip, Wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			var b bytes.Buffer
			if json.Compact(&b, r.Steps[i].Data) == nil {
				r.Steps[i].Data = b.Bytes()
			}
		}
	})},
	{What: "makes up an id", Caught: "a run needs an id", Wrap: given(func(r *update.Run, _ []update.Event) { r.ID = cmp.Or(r.ID, "new") })},
	{What: "knows the event before", Caught: createFirst, Wrap: answered(func(_ update.Run, a *update.Run) { a.Seq = max(a.Seq-1, 0) })},
	{What: "makes up a first event", Caught: createFirst, Wrap: answered(func(_ update.Run, a *update.Run) { a.Seq = max(a.Seq, 1) })},
	{What: "believes who writes", Caught: createFirst, Wrap: answered(func(r update.Run, a *update.Run) {
		if r.Rev > 0 {
			a.Seq = r.Seq
		}
	})},
	{What: "forgets the first event", Caught: createFirst, Wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			r.Seq = 0
			return r, err
		}
	})},
	{What: "returns the run it refuses", Caught: "a repeated id returns the earlier run", Wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Create(ctx, r, events...)
			if errors.Is(err, update.ErrExists) {
				return r, err
			}
			return answer, err
		}
	})},
	{What: "writes down what it refuses", Caught: "a repeated id returns the earlier run", Wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Create(ctx, r, events...)
			if errors.Is(err, update.ErrExists) {
				_, _ = j.Create(ctx, update.Run{ID: r.ID + " refused", Item: "refused"}, events...)
			}
			return answer, err
		}
	})},
	{What: "has one request for all packages", Caught: createRequest, Wrap: requests(func(first, r update.Run) bool {
		return r.Request.By.RequestID != "" && first.Request.By.RequestID == r.Request.By.RequestID
	})},
	{What: "repeats requests that are over", Caught: createRequest, Wrap: requests(func(first, r update.Run) bool {
		return r.Package == first.Package && first.Request.By.RequestID == r.Request.By.RequestID && !first.State.Done()
	})},
	{What: "takes no request for one", Caught: createRequest, Wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			r.Request.By.RequestID = cmp.Or(r.Request.By.RequestID, "none")
			return j.Create(ctx, r, events...)
		}
	})},
	{What: "looks before it creates", Caught: "one of many creates a run for a request", Wrap: requests(func(first, r update.Run) bool {
		return r.Package == first.Package && r.Request.By.RequestID == first.Request.By.RequestID
	})},
	{What: "creates for any token", Caught: createFence, Wrap: func(j update.Journal) update.Journal { return forgiving(j, update.ErrStale) }},
	{What: "refuses an equal token", Caught: createFence, Wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		return r.Token <= greatest[r.Item]
	})},
	{What: "has one fence for all", Caught: createFence, Wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		for _, token := range greatest {
			if r.Token < token {
				return true
			}
		}
		return false
	})},
	{What: "learns a token that it refuses", Caught: "what is refused teaches no token", Wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		return r.Token < greatest[r.Item]
	})},
	{What: "ends texts at NUL", Caught: createText, Wrap: texted(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s })},
	{What: "trims texts", Caught: createText, Wrap: texted(strings.TrimSpace)},
	{What: "replaces what is not UTF-8", Caught: createText, Wrap: texted(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{What: "cuts texts", Caught: createText, Wrap: texted(func(s string) string { return s[:min(len(s), 1<<16)] })},
	{What: "makes items UTF-8", Caught: "items are compared byte by byte", Wrap: given(func(r *update.Run, _ []update.Event) {
		r.Item = strings.ToValidUTF8(r.Item, "\ufffd")
	})},
	{What: "cuts data", Caught: createData, Wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			r.Steps[i].Data = r.Steps[i].Data[:min(len(r.Steps[i].Data), 1<<20)]
		}
	})},
}

const (
	saveRevs  = "a save needs the stored rev"
	saveKeeps = "a save never changes id, package, request and creation"
	saveRest  = "a save replaces the rest of the run"
	saveSteps = "a save changes only the steps that an event names"
	saveEnd   = "a run has an end exactly when it is done"
	saveEnded = "a context that has ended writes and reads nothing"
)

var saveMutants = []mutant{
	{What: "creates what it should save", Caught: "saving an unknown run is not found", Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Save(ctx, r, events...)
			if errors.Is(err, update.ErrNotFound) {
				return j.Create(ctx, r, events...)
			}
			return answer, err
		}
	})},
	{What: "saves over any rev", Caught: saveRevs, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Rev = stored.Rev
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{What: "saves over earlier revs", Caught: saveRevs, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Rev = min(r.Rev, stored.Rev)
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{What: "does not return the next rev", Caught: saveRevs, Wrap: answered(func(r update.Run, a *update.Run) { a.Rev = max(r.Rev, 1) })},
	{What: "looks before it saves", Caught: "one of many saves of a rev wins", Wrap: badSave(lookFirst)},
	{What: "saves for any token", Caught: "a run cannot be saved with an overtaken token",
		Wrap: func(j update.Journal) update.Journal { return forgiving(j, update.ErrStale) }},
	{What: "learns no token from a save", Caught: "a run cannot be saved with an overtaken token", Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			token := r.Token
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Token = min(r.Token, stored.Token)
			}
			answer, err := j.Save(ctx, r, events...)
			answer.Token = token
			return answer, err
		}
	})},
	{What: "moves a run to another package", Caught: saveKeeps, Wrap: answered(func(r update.Run, a *update.Run) { a.Package = r.Package })},
	{What: "changes the request", Caught: saveKeeps, Wrap: answered(func(r update.Run, a *update.Run) { a.Request = r.Request })},
	{What: "changes the creation", Caught: saveKeeps, Wrap: answered(func(r update.Run, a *update.Run) {
		if r.Rev > 0 {
			a.CreatedAt = r.CreatedAt
		}
	})},
	{What: "keeps who cancelled", Caught: saveRest, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil && r.Cancel == nil {
				r.Cancel = stored.Cancel
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{What: "keeps the release", Caught: saveRest, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Release = stored.Release
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{What: "does not renew UpdatedAt", Caught: saveRest, Wrap: answered(func(_ update.Run, a *update.Run) { a.UpdatedAt = a.CreatedAt })},
	{What: "saves every step", Caught: saveSteps, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			for _, s := range r.Steps {
				events = append(events, update.Event{Kind: update.EventStep, Step: s.Name})
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{What: "forgets the error of what was undone", Caught: "a step that was undone keeps its error", Wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			if r.Steps[i].Phase == update.PhaseUndone {
				r.Steps[i].Error = ""
			}
		}
	})},
	{What: "saves no step", Caught: saveSteps, Wrap: given(func(_ *update.Run, events []update.Event) {
		for i := range events {
			events[i].Step = ""
		}
	})},
	{What: "never ends a run", Caught: saveEnd, Wrap: answered(func(_ update.Run, a *update.Run) { a.EndedAt = time.Time{} })},
	{What: "ends a run again", Caught: saveEnd, Wrap: answered(func(_ update.Run, a *update.Run) {
		if a.State.Done() {
			a.EndedAt = a.UpdatedAt
		}
	})},
	{What: "ends a run too early", Caught: saveEnd, Wrap: answered(func(_ update.Run, a *update.Run) { a.EndedAt = a.UpdatedAt })},
	{What: "keeps 1,000 steps", Caught: "a run of 2,000 steps is saved step by step", Wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			r.Steps = r.Steps[:min(len(r.Steps), 1000)]
			return r, err
		}
	})},
	{What: "finds what is not there", Caught: "an unknown run is not found", Wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			if errors.Is(err, update.ErrNotFound) {
				return update.Run{}, nil
			}
			return r, err
		}
	})},
	{What: "finds ids in any case", Caught: "an unknown run is not found", Wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) { return j.Get(ctx, strings.ToLower(id)) }
	})},
	{What: "creates after the context", Caught: saveEnded, Wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			return j.Create(context.WithoutCancel(ctx), r, events...)
		}
	})},
	{What: "saves after the context", Caught: saveEnded, Wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Save(context.WithoutCancel(ctx), r, events...)
			return answer, errors.Join(err, ctx.Err())
		}
	})},
	{What: "reads after the context", Caught: saveEnded, Wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) { return j.Get(context.WithoutCancel(ctx), id) }
	})},
	{What: "returns what it keeps", Caught: "what a call returns is the caller's to change", Wrap: shared(false)},
	{What: "keeps what it was given", Caught: "what a call was given is the caller's to change", Wrap: shared(true)},
}
