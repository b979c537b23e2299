package firmwaretest_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
)

const (
	recordNew     = "a new device has the zero record"
	recordTrip    = "a record comes back as it was saved"
	recordSave    = "a save replaces the record"
	recordRevs    = "a save needs the stored rev"
	recordFence   = "a record cannot be saved with an overtaken token"
	recordRefused = "a save that is refused leaves nothing"
	recordText    = "texts come back byte by byte"
	recordCatalog = "a large catalog comes back, whatever else was saved since"
	recordEnded   = "a context that has ended writes and reads nothing"
	recordApart   = "devices do not see each other"
)

var recordMutants = []mutant{
	{What: "makes up a state", Caught: recordNew, Wrap: after(func(_ []firmware.Record, r *firmware.Record) {
		if r.Rev == 0 {
			r.Device = firmware.DeviceIdle
		}
	})},
	{What: "drops progress", Caught: recordTrip, Wrap: given(func(r *firmware.Record, _ []firmware.Event) { r.Progress = nil })},
	{What: "drops that settings are kept", Caught: recordTrip, Wrap: given(func(r *firmware.Record, _ []firmware.Event) { r.Kept = false })},
	{What: "drops what a catalog says for the slots", Caught: recordTrip, Wrap: given(func(r *firmware.Record, _ []firmware.Event) {
		for i := range r.Catalog.Releases {
			r.Catalog.Releases[i].Meta = nil
		}
	})},
	{What: "drops who does not want to wait", Caught: recordTrip, Wrap: ofRun(func(r *firmware.Run) { r.Apply = nil })},
	{What: "keeps milliseconds", Caught: recordTrip, Wrap: ofRun(func(r *firmware.Run) { r.Release.Time = r.Release.Time.Truncate(time.Millisecond) })},
	{What: "returns a run without what came by which way", Caught: recordTrip, Wrap: getting(func(d firmware.DeviceStore) getFunc {
		return func(ctx context.Context, id string) (firmware.Run, error) {
			r, err := d.Get(ctx, id)
			r.Pulled = nil
			return r, err
		}
	})},
	{What: "keeps a reason that is over", Caught: recordSave, Wrap: after(func(saved []firmware.Record, r *firmware.Record) {
		for _, s := range saved {
			if r.Info == "" {
				r.Info = s.Info
			}
		}
	})},
	{What: "keeps the first settings", Caught: recordSave, Wrap: after(func(saved []firmware.Record, r *firmware.Record) {
		if len(saved) > 0 {
			r.Running = saved[0].Running
		}
	})},
	{What: "takes empty for nothing", Caught: recordSave, Wrap: given(func(r *firmware.Record, _ []firmware.Event) {
		if len(r.Trust) == 0 {
			r.Trust = nil
		}
	})},
	{What: "always shows a run", Caught: recordSave, Wrap: after(func(saved []firmware.Record, r *firmware.Record) {
		if r.Run == nil && len(saved) > 0 {
			r.Run = saved[0].Run
		}
	})},
	{What: "counts saves from zero", Caught: recordRevs, Wrap: answered(func(_ firmware.Record, a *firmware.Record) { a.Rev-- })},
	{What: "saves over any rev", Caught: recordRevs, Wrap: revised(func(stored, _ int64) int64 { return stored })},
	{What: "saves over earlier revs", Caught: recordRevs, Wrap: revised(func(stored, given int64) int64 {
		if given < stored {
			return stored
		}
		return given
	})},
	{What: "saves over any rev of a new device", Caught: recordRevs, Wrap: revised(func(stored, given int64) int64 {
		if stored == 0 {
			return 0
		}
		return given
	})},
	{What: "looks before it saves", Caught: "one of many saves of a rev wins", Wrap: saving(lookFirst)},
	{What: "saves for any token", Caught: recordFence, Wrap: forgiving(firmware.ErrStale)},
	{What: "refuses an equal token", Caught: recordFence, Wrap: fenced(func(greatest, token int64) bool { return token > 0 && token <= greatest })},
	{What: "learns a token that it refuses", Caught: recordFence, Wrap: saving(func(d firmware.DeviceStore) saveFunc {
		var greatest int64
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			if greatest = max(greatest, r.Token); r.Token < greatest {
				return firmware.Record{}, firmware.ErrStale
			}
			return d.Save(ctx, r, events...)
		}
	})},
	{What: "has one fence for all devices", Caught: recordFence, Wrap: func() func(firmware.Store) firmware.Store {
		var greatest int64
		return func(s firmware.Store) firmware.Store {
			greatest = 0
			return fenced(func(_, token int64) bool {
				greatest = max(greatest, token)
				return token < greatest
			})(s)
		}
	}()},
	{What: "writes the events of what it refuses", Caught: recordRefused,
		Wrap: remains(func(ctx context.Context, d firmware.DeviceStore, _ firmware.Record, events []firmware.Event) {
			if stored, err := d.Load(ctx); err == nil {
				stored.Rev = max(stored.Rev, 1)
				_, _ = d.Save(ctx, stored, events...)
			}
		})},
	{What: "keeps the run that it refuses", Caught: recordRefused,
		Wrap: remains(func(ctx context.Context, d firmware.DeviceStore, r firmware.Record, _ []firmware.Event) {
			if stored, err := d.Load(ctx); err == nil && r.Run != nil {
				run := r.Run.Clone()
				run.Request.By.RequestID = ""
				stored.Run = &run
				_, _ = d.Save(ctx, stored)
			}
		})},
	{What: "keeps the catalog that it refuses", Caught: recordRefused,
		Wrap: remains(func(ctx context.Context, d firmware.DeviceStore, r firmware.Record, _ []firmware.Event) {
			if stored, err := d.Load(ctx); err == nil {
				stored.Catalog = r.Catalog
				_, _ = d.Save(ctx, stored)
			}
		})},
	{What: "ends texts at NUL", Caught: recordText, Wrap: texted(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s })},
	{What: "trims texts", Caught: recordText, Wrap: texted(strings.TrimSpace)},
	{What: "replaces what is not UTF-8", Caught: recordText, Wrap: texted(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{What: "cuts texts", Caught: recordText, Wrap: texted(func(s string) string { return s[:min(len(s), 1<<16)] })},
	{What: "keeps the catalog of the first save", Caught: recordCatalog, Wrap: after(func(saved []firmware.Record, r *firmware.Record) {
		if len(saved) > 0 {
			r.Catalog = saved[0].Catalog
		}
	})},
	{What: "takes a catalog that it had for the one that it has", Caught: recordCatalog, Wrap: func(s firmware.Store) firmware.Store {
		var last int64
		return given(func(r *firmware.Record, _ []firmware.Event) {
			if r.Catalog.Number > 0 && r.Catalog.Number < last {
				r.Catalog = firmware.Catalog{}
			}
			last = max(last, r.Catalog.Number)
		})(s)
	}},
	{What: "keeps no trust without a catalog", Caught: recordCatalog, Wrap: given(func(r *firmware.Record, _ []firmware.Event) {
		if r.Catalog.Number == 0 && r.Catalog.Product == "" {
			r.Trust = nil
		}
	})},
	{What: "cuts catalogs", Caught: recordCatalog, Wrap: given(func(r *firmware.Record, _ []firmware.Event) {
		r.Catalog.Releases = r.Catalog.Releases[:min(len(r.Catalog.Releases), 100)]
	})},
	{What: "saves after the context", Caught: recordEnded, Wrap: saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			answer, err := d.Save(context.WithoutCancel(ctx), r, events...)
			return answer, errors.Join(err, ctx.Err())
		}
	})},
	{What: "loads after the context", Caught: recordEnded, Wrap: loading(func(d firmware.DeviceStore) loadFunc {
		return func(ctx context.Context) (firmware.Record, error) { return d.Load(context.WithoutCancel(ctx)) }
	})},
	{What: "reads after the context", Caught: recordEnded, Wrap: getting(func(d firmware.DeviceStore) getFunc {
		return func(ctx context.Context, id string) (firmware.Run, error) {
			return d.Get(context.WithoutCancel(ctx), id)
		}
	})},
	{What: "has one device", Caught: recordApart, Wrap: named(func(string) string { return "it" })},
	{What: "names devices in UTF-8", Caught: recordApart, Wrap: named(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })},
	{What: "names devices in any case", Caught: recordApart, Wrap: named(strings.ToLower)},
	{What: "shares runs", Caught: recordApart, Wrap: sharing(func(mine, first firmware.DeviceStore) *device {
		return &device{DeviceStore: mine, get: first.Get}
	})},
	{What: "shares the history", Caught: recordApart, Wrap: sharing(func(mine, first firmware.DeviceStore) *device {
		return &device{DeviceStore: mine, history: first.History}
	})},
	{What: "shares events", Caught: recordApart, Wrap: sharing(func(mine, first firmware.DeviceStore) *device {
		return &device{DeviceStore: mine, watch: first.Watch}
	})},
}

// sharing has every device use something of the second that was asked for: the
// first is that of each case.
func sharing(with func(mine, first firmware.DeviceStore) *device) func(firmware.Store) firmware.Store {
	return func(s firmware.Store) firmware.Store {
		var devices []firmware.DeviceStore
		return each(func(d firmware.DeviceStore) firmware.DeviceStore {
			if devices = append(devices, d); len(devices) < 2 {
				return d
			}
			return with(d, devices[1])
		})(s)
	}
}

var copyMutants = []mutant{
	{What: "returns what it keeps", Caught: "what a call returns is the caller's to change", Wrap: shared(false)},
	{What: "keeps what it was given", Caught: "what a call was given is the caller's to change", Wrap: shared(true)},
	{What: "returns what it was given", Caught: "what a call was given is the caller's to change", Wrap: saving(func(d firmware.DeviceStore) saveFunc {
		return func(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
			answer, err := d.Save(ctx, r, events...)
			if err == nil {
				answer.Catalog, answer.Trust = r.Catalog, r.Trust
			}
			return answer, err
		}
	})},
}
