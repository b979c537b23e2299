package httpadapter_test

import (
	"context"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/update"
)

// engine counts what is written to a site's engine by its services, and does
// what a test wants whenever it is asked for something.
type engine struct {
	writes atomic.Int64 // that came through
	asked  atomic.Pointer[func()]
	panics atomic.Int64 // since it was broken
	// refuses is the error of what writes rows. Default: none.
	refuses error
}

func (e *engine) ask() {
	if f := e.asked.Load(); f != nil {
		(*f)()
	}
}

func (e *engine) wrote(err error) {
	if err == nil {
		e.writes.Add(1)
	}
}

// written writes something, which counts or not: before anybody can see its
// events, so that who waits for these finds it counted, and not if it fails.
func written[T any](e *engine, counts bool, write func() (T, error)) (T, error) {
	if !counts {
		return write()
	}
	e.writes.Add(1)
	v, err := write()
	if err != nil {
		e.writes.Add(-1)
	}
	return v, err
}

// breaks makes the engine panic whenever a request or a stream asks it for
// something, until mend is called. What runs in the background is left alone:
// nobody could answer for it.
func (e *engine) breaks() (mend func()) {
	f := func() {
		if strings.Contains(string(debug.Stack()), "httpadapter/internal/web.(*") {
			e.panics.Add(1)
			panic("the disk is gone: /secret/path")
		}
	}
	e.asked.Store(&f)
	return func() { e.asked.Store(nil) }
}

// asking asks for every event of a list.
func asking[T any](e *engine, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		e.ask()
		for event, err := range list {
			e.ask()
			if !yield(event, err) {
				return
			}
		}
	}
}

// engineJournal is the journal of a site's engine.
type engineJournal struct {
	update.Journal
	*engine
}

func (j *engineJournal) Create(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	j.ask()
	r, err := j.Journal.Create(ctx, r, events...)
	j.wrote(err)
	return r, err
}

func (j *engineJournal) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	j.ask()
	r, err := j.Journal.Save(ctx, r, events...)
	j.wrote(err)
	return r, err
}

func (j *engineJournal) Get(ctx context.Context, id string) (update.Run, error) {
	j.ask()
	return j.Journal.Get(ctx, id)
}

func (j *engineJournal) History(ctx context.Context, q update.Query) iter.Seq2[update.Run, error] {
	j.ask()
	return j.Journal.History(ctx, q)
}

func (j *engineJournal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return asking(j.engine, j.Journal.Watch(ctx, after))
}

// engineLocker is its locker.
type engineLocker struct {
	lease.Locker
	*engine
}

func (l *engineLocker) Holder(ctx context.Context, item string) (lease.Lease, error) {
	l.ask()
	return l.Locker.Holder(ctx, item)
}

// engineVersions is its store of row versions.
type engineVersions struct {
	lv.VersionStore
	*engine
}

func (v *engineVersions) Write(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	v.ask()
	if v.refuses != nil {
		return nil, v.refuses
	}
	left, err := v.VersionStore.Write(ctx, t, edits, by)
	v.wrote(err)
	return left, err
}

func (v *engineVersions) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	v.ask()
	if v.refuses != nil {
		return r, v.refuses
	}
	r, err := v.VersionStore.PutRelease(ctx, t, r, by)
	v.wrote(err)
	return r, err
}

func (v *engineVersions) PutStrategy(ctx context.Context, t lv.TableID, s lv.Strategy, by lv.By) (lv.Strategy, error) {
	v.ask()
	s, err := v.VersionStore.PutStrategy(ctx, t, s, by)
	v.wrote(err)
	return s, err
}

func (v *engineVersions) Rows(ctx context.Context, t lv.TableID, view lv.View) iter.Seq2[lv.Row, error] {
	v.ask()
	return v.VersionStore.Rows(ctx, t, view)
}

func (v *engineVersions) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	v.ask()
	return v.VersionStore.Versions(ctx, t, q)
}

func (v *engineVersions) Releases(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	v.ask()
	return v.VersionStore.Releases(ctx, t, q)
}

func (v *engineVersions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	v.ask()
	return v.VersionStore.Tables(ctx, ids...)
}

func (v *engineVersions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return asking(v.engine, v.VersionStore.Watch(ctx, after))
}

// engineDevices is its store of devices.
type engineDevices struct {
	firmware.Store
	*engine
}

func (d *engineDevices) Firmware(device string) firmware.DeviceStore {
	return &engineDevice{d.Store.Firmware(device), d.engine}
}

type engineDevice struct {
	firmware.DeviceStore
	*engine
}

// Save counts what becomes of runs and settings. That the device has looked
// somewhere is recorded whatever becomes of the request.
func (d *engineDevice) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	d.ask()
	counts := slices.ContainsFunc(events, func(e firmware.Event) bool { return e.Run != "" || e.Kind == firmware.EventConfigured })
	return written(d.engine, counts, func() (firmware.Record, error) { return d.DeviceStore.Save(ctx, r, events...) })
}

func (d *engineDevice) Load(ctx context.Context) (firmware.Record, error) {
	d.ask()
	return d.DeviceStore.Load(ctx)
}

func (d *engineDevice) Get(ctx context.Context, id string) (firmware.Run, error) {
	d.ask()
	return d.DeviceStore.Get(ctx, id)
}

func (d *engineDevice) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	d.ask()
	return d.DeviceStore.History(ctx, q)
}

func (d *engineDevice) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return asking(d.engine, d.DeviceStore.Watch(ctx, after))
}

// engineRollouts is its store of rollouts.
type engineRollouts struct {
	rollout.Store
	*engine
}

func (r *engineRollouts) Rollouts() rollout.RunStore {
	return &engineRuns{r.Store.Rollouts(), r.engine}
}

type engineRuns struct {
	rollout.RunStore
	*engine
}

func (r *engineRuns) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	r.ask()
	t, err := r.RunStore.Create(ctx, t)
	r.wrote(err)
	return t, err
}

// Save counts what is asked for. How a run goes on is recorded whatever becomes
// of the request.
func (r *engineRuns) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	r.ask()
	asked := t.Run == nil || slices.ContainsFunc(t.Events, func(e rollout.Event) bool { return e.Kind == rollout.EventWish })
	t, err := r.RunStore.Save(ctx, t)
	if asked {
		r.wrote(err)
	}
	return t, err
}

func (r *engineRuns) Get(ctx context.Context, id string) (rollout.Run, error) {
	r.ask()
	return r.RunStore.Get(ctx, id)
}

func (r *engineRuns) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	r.ask()
	return r.RunStore.History(ctx, q)
}

func (r *engineRuns) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	r.ask()
	return r.RunStore.Service(ctx, id)
}

func (r *engineRuns) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	r.ask()
	return r.RunStore.Services(ctx, q)
}

func (r *engineRuns) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return asking(r.engine, r.RunStore.Watch(ctx, after))
}
