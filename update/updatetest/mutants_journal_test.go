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

var createMutants = []journalMutant{
	{what: "counts saves from zero", caught: createIsNew, wrap: answered(func(_ update.Run, a *update.Run) { a.Rev-- })},
	{what: "takes the caller's times", caught: createIsNew, wrap: answered(func(r update.Run, a *update.Run) { a.CreatedAt = r.CreatedAt })},
	{what: "takes the caller's end", caught: createIsNew, wrap: answered(func(r update.Run, a *update.Run) { a.EndedAt = r.EndedAt })},
	{what: "drops the signature", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) { r.Release.Signature = nil })},
	{what: "drops who cancelled", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) { r.Cancel = nil })},
	{what: "drops why somebody asked", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) { r.Request.By.Reason = "" })},
	{what: "keeps seconds", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) { r.Release.Time = r.Release.Time.Truncate(time.Second) })},
	{what: "has no zero time", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) {
		if r.Release.Time.IsZero() {
			r.Release.Time = time.Unix(0, 0).UTC()
		}
	})},
	{what: "sorts steps", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) {
		slices.SortFunc(r.Steps, func(a, b update.StepRecord) int { return cmp.Compare(a.Name, b.Name) })
	})},
	{what: "forgets what a step is like", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			r.Steps[i].Weight, r.Steps[i].Final, r.Steps[i].NoUndo = 0, false, false
		}
	})},
	{what: "tidies JSON", caught: createTrip, wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			var b bytes.Buffer
			if json.Compact(&b, r.Steps[i].Data) == nil {
				r.Steps[i].Data = b.Bytes()
			}
		}
	})},
	{what: "makes up an id", caught: "a run needs an id", wrap: given(func(r *update.Run, _ []update.Event) { r.ID = cmp.Or(r.ID, "new") })},
	{what: "knows the event before", caught: createFirst, wrap: answered(func(_ update.Run, a *update.Run) { a.Seq = max(a.Seq-1, 0) })},
	{what: "makes up a first event", caught: createFirst, wrap: answered(func(_ update.Run, a *update.Run) { a.Seq = max(a.Seq, 1) })},
	{what: "believes who writes", caught: createFirst, wrap: answered(func(r update.Run, a *update.Run) {
		if r.Rev > 0 {
			a.Seq = r.Seq
		}
	})},
	{what: "forgets the first event", caught: createFirst, wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			r.Seq = 0
			return r, err
		}
	})},
	{what: "returns the run it refuses", caught: "a repeated id returns the earlier run", wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Create(ctx, r, events...)
			if errors.Is(err, update.ErrExists) {
				return r, err
			}
			return answer, err
		}
	})},
	{what: "writes down what it refuses", caught: "a repeated id returns the earlier run", wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Create(ctx, r, events...)
			if errors.Is(err, update.ErrExists) {
				_, _ = j.Create(ctx, update.Run{ID: r.ID + " refused", Item: "refused"}, events...)
			}
			return answer, err
		}
	})},
	{what: "has one request for all packages", caught: createRequest, wrap: requests(func(first, r update.Run) bool {
		return r.Request.By.RequestID != "" && first.Request.By.RequestID == r.Request.By.RequestID
	})},
	{what: "repeats requests that are over", caught: createRequest, wrap: requests(func(first, r update.Run) bool {
		return r.Package == first.Package && first.Request.By.RequestID == r.Request.By.RequestID && !first.State.Done()
	})},
	{what: "takes no request for one", caught: createRequest, wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			r.Request.By.RequestID = cmp.Or(r.Request.By.RequestID, "none")
			return j.Create(ctx, r, events...)
		}
	})},
	{what: "looks before it creates", caught: "one of many creates a run for a request", wrap: requests(func(first, r update.Run) bool {
		return r.Package == first.Package && r.Request.By.RequestID == first.Request.By.RequestID
	})},
	{what: "creates for any token", caught: createFence, wrap: func(j update.Journal) update.Journal { return forgiving(j, update.ErrStale) }},
	{what: "refuses an equal token", caught: createFence, wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		return r.Token <= greatest[r.Item]
	})},
	{what: "has one fence for all", caught: createFence, wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		for _, token := range greatest {
			if r.Token < token {
				return true
			}
		}
		return false
	})},
	{what: "learns a token that it refuses", caught: "what is refused teaches no token", wrap: fenced(func(greatest map[string]int64, r update.Run) bool {
		return r.Token < greatest[r.Item]
	})},
	{what: "ends texts at NUL", caught: createText, wrap: texted(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s })},
	{what: "trims texts", caught: createText, wrap: texted(strings.TrimSpace)},
	{what: "replaces what is not UTF-8", caught: createText, wrap: texted(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{what: "cuts texts", caught: createText, wrap: texted(func(s string) string { return s[:min(len(s), 1<<16)] })},
	{what: "makes items UTF-8", caught: "items are compared byte by byte", wrap: given(func(r *update.Run, _ []update.Event) {
		r.Item = strings.ToValidUTF8(r.Item, "\ufffd")
	})},
	{what: "cuts data", caught: createData, wrap: given(func(r *update.Run, _ []update.Event) {
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

var saveMutants = []journalMutant{
	{what: "creates what it should save", caught: "saving an unknown run is not found", wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Save(ctx, r, events...)
			if errors.Is(err, update.ErrNotFound) {
				return j.Create(ctx, r, events...)
			}
			return answer, err
		}
	})},
	{what: "saves over any rev", caught: saveRevs, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Rev = stored.Rev
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{what: "saves over earlier revs", caught: saveRevs, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Rev = min(r.Rev, stored.Rev)
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{what: "does not return the next rev", caught: saveRevs, wrap: answered(func(r update.Run, a *update.Run) { a.Rev = max(r.Rev, 1) })},
	{what: "looks before it saves", caught: "one of many saves of a rev wins", wrap: badSave(lookFirst)},
	{what: "saves for any token", caught: "a run cannot be saved with an overtaken token",
		wrap: func(j update.Journal) update.Journal { return forgiving(j, update.ErrStale) }},
	{what: "learns no token from a save", caught: "a run cannot be saved with an overtaken token", wrap: badSave(func(j update.Journal) writeFunc {
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
	{what: "moves a run to another package", caught: saveKeeps, wrap: answered(func(r update.Run, a *update.Run) { a.Package = r.Package })},
	{what: "changes the request", caught: saveKeeps, wrap: answered(func(r update.Run, a *update.Run) { a.Request = r.Request })},
	{what: "changes the creation", caught: saveKeeps, wrap: answered(func(r update.Run, a *update.Run) {
		if r.Rev > 0 {
			a.CreatedAt = r.CreatedAt
		}
	})},
	{what: "keeps who cancelled", caught: saveRest, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil && r.Cancel == nil {
				r.Cancel = stored.Cancel
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{what: "keeps the release", caught: saveRest, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			if stored, err := j.Get(ctx, r.ID); err == nil {
				r.Release = stored.Release
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{what: "does not renew UpdatedAt", caught: saveRest, wrap: answered(func(_ update.Run, a *update.Run) { a.UpdatedAt = a.CreatedAt })},
	{what: "saves every step", caught: saveSteps, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			for _, s := range r.Steps {
				events = append(events, update.Event{Kind: update.EventStep, Step: s.Name})
			}
			return j.Save(ctx, r, events...)
		}
	})},
	{what: "forgets the error of what was undone", caught: "a step that was undone keeps its error", wrap: given(func(r *update.Run, _ []update.Event) {
		for i := range r.Steps {
			if r.Steps[i].Phase == update.PhaseUndone {
				r.Steps[i].Error = ""
			}
		}
	})},
	{what: "saves no step", caught: saveSteps, wrap: given(func(_ *update.Run, events []update.Event) {
		for i := range events {
			events[i].Step = ""
		}
	})},
	{what: "never ends a run", caught: saveEnd, wrap: answered(func(_ update.Run, a *update.Run) { a.EndedAt = time.Time{} })},
	{what: "ends a run again", caught: saveEnd, wrap: answered(func(_ update.Run, a *update.Run) {
		if a.State.Done() {
			a.EndedAt = a.UpdatedAt
		}
	})},
	{what: "ends a run too early", caught: saveEnd, wrap: answered(func(_ update.Run, a *update.Run) { a.EndedAt = a.UpdatedAt })},
	{what: "keeps 1,000 steps", caught: "a run of 2,000 steps is saved step by step", wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			r.Steps = r.Steps[:min(len(r.Steps), 1000)]
			return r, err
		}
	})},
	{what: "finds what is not there", caught: "an unknown run is not found", wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) {
			r, err := j.Get(ctx, id)
			if errors.Is(err, update.ErrNotFound) {
				return update.Run{}, nil
			}
			return r, err
		}
	})},
	{what: "finds ids in any case", caught: "an unknown run is not found", wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) { return j.Get(ctx, strings.ToLower(id)) }
	})},
	{what: "creates after the context", caught: saveEnded, wrap: badCreate(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			return j.Create(context.WithoutCancel(ctx), r, events...)
		}
	})},
	{what: "saves after the context", caught: saveEnded, wrap: badSave(func(j update.Journal) writeFunc {
		return func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Save(context.WithoutCancel(ctx), r, events...)
			return answer, errors.Join(err, ctx.Err())
		}
	})},
	{what: "reads after the context", caught: saveEnded, wrap: badGet(func(j update.Journal) getFunc {
		return func(ctx context.Context, id string) (update.Run, error) { return j.Get(context.WithoutCancel(ctx), id) }
	})},
	{what: "returns what it keeps", caught: "what a call returns is the caller's to change", wrap: shared(false)},
	{what: "keeps what it was given", caught: "what a call was given is the caller's to change", wrap: shared(true)},
}
