package httpadapter

import (
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// magewellReply is the documented reply.
type magewellReply struct {
	Result int            `json:"result" openapi:"const=0"`
	Status magewellStatus `json:"status"`
}

// magewellFail is the reply to what was not done.
type magewellFail struct {
	Result int `json:"result"`
}

type magewellStatus struct {
	State        int            `json:"state" openapi:"enum=0|1|2|4|8|16|32|64|256|512"`
	Version      string         `json:"version"`
	Progress     int            `json:"progress"` // percent while pulling, else 0
	EnableUpdate bool           `json:"enable-update"`
	OSName       string         `json:"os-name"`
	Online       magewellOnline `json:"online-status"`
	Info         string         `json:"info"`
}

type magewellOnline struct {
	Date         int64            `json:"date"` // of the last check, Unix seconds; 0 before the first
	CheckResult  int              `json:"check-result"`
	UpdateResult int              `json:"update-result"`
	IsNewest     bool             `json:"is-newest"`
	Newest       magewellVersion  `json:"newest-version"`
	Enable       bool             `json:"enable"`
	EnableExpr   bool             `json:"enable-expr"`
	Versions     magewellVersions `json:"versions"`
}

type magewellVersion struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // SHA-256, in hexadecimal
	IsExpr  bool   `json:"is-expr"`
	Date    int64  `json:"date"` // Unix seconds
}

type magewellVersions struct {
	List  []magewellVersion `json:"list"`
	Start int64             `json:"start"`
	Total int64             `json:"total"`
}

// firmwareWords are the values of the types that have few.
var firmwareWords = []any{
	firmware.StateRunning, firmware.StateWaiting, firmware.StateRestarting, firmware.StateTrial, firmware.StateRollingBack,
	firmware.StateSucceeded, firmware.StateRolledBack, firmware.StateCancelled, firmware.StateFailed, firmware.State(""),
	firmware.DeviceIdle, firmware.DeviceCheckingLocal, firmware.DeviceCheckingOnline, firmware.DevicePulling, firmware.DeviceVerifying,
	firmware.DeviceUploading, firmware.DeviceCancelling, firmware.DeviceRestarting, firmware.DeviceUnavailable, firmware.DeviceFailed,
	firmware.DeviceState(""),
	firmware.EventChecked, firmware.EventConfigured, firmware.EventStarted, firmware.EventState, firmware.EventProgress, firmware.EventRetry,
	firmware.EventLog, firmware.EventCancel, firmware.EventApply, firmware.EventRecovered, firmware.EventEnded, firmware.EventCorrupt,
}

// firmwareBody asks for an update, or for a plan of one.
type firmwareBody struct {
	Version        string `json:"version"`
	AllowDowngrade bool   `json:"allow_downgrade"`
	Plan           string `json:"plan"`
	RequestID      string `json:"request_id"`
	Reason         string `json:"reason" openapi:"maxLength=4096"`
}

// firmwareRunBody is about a run, by default the live one, or the last.
type firmwareRunBody struct {
	Run       string `json:"run"`
	RequestID string `json:"request_id"`
	Reason    string `json:"reason" openapi:"maxLength=4096"`
}

// firmwareSettings are what an operator may change.
type firmwareSettings struct {
	Enable     bool `json:"enable"`      // check online at every interval
	EnableExpr bool `json:"enable-expr"` // checks offer pre-releases too
}

// firmwareChange is what of them a body names.
type firmwareChange struct {
	Enable     *bool `json:"enable"`
	EnableExpr *bool `json:"enable-expr"`
}

type firmwareStatusReply struct {
	State    firmware.DeviceState `json:"state"`
	Info     string               `json:"info,omitempty"` // more about the state
	Version  string               `json:"version"`        // of the running image
	OSName   string               `json:"os_name"`
	Disabled bool                 `json:"disabled"` // updates are switched off
	Settings firmwareSettings     `json:"settings"`
	Checked  time.Time            `json:"checked_at,omitzero"` // the last check
	Failed   bool                 `json:"check_failed"`        // it did
	Reason   string               `json:"check_reason,omitempty"`
	Newest   string               `json:"newest"` // for this device; "" for none
	UpToDate bool                 `json:"up_to_date"`
	Run      *firmwareRunReply    `json:"run"`  // the live one, or null
	Last     *firmwareRunReply    `json:"last"` // the last one that ended, or null
}

type firmwarePlanReply struct {
	ID       string           `json:"id"`
	From     string           `json:"from"`
	Version  string           `json:"version"`
	Digest   string           `json:"digest"`
	Size     int64            `json:"size"`
	UpToDate bool             `json:"up_to_date"`
	Pull     map[string]int64 `json:"pull"` // bytes, by the way they come
}

type firmwareCheckReply struct {
	Number  int64     `json:"number"`
	Issued  time.Time `json:"issued_at"`
	Expires time.Time `json:"expires_at,omitzero"`
	Newest  string    `json:"newest"` // for this device; "" for none
	Offered bool      `json:"offered"`
}

type firmwareRunsReply struct {
	Runs []firmwareRunReply `json:"runs"`
	Next string             `json:"next,omitempty"` // where after goes on; absent on the last page
}

type firmwareRunReply struct {
	ID        string           `json:"id"`
	From      string           `json:"from"`
	Version   string           `json:"version"`
	Digest    string           `json:"digest"`
	Size      int64            `json:"size"`
	State     firmware.State   `json:"state"`
	Percent   int              `json:"percent"`
	Pulled    map[string]int64 `json:"pulled"` // bytes, by the way they came
	Reason    string           `json:"reason,omitempty"`
	Cause     string           `json:"cause,omitempty"`
	Requested string           `json:"requested,omitempty"` // the version asked for
	Actor     string           `json:"actor,omitempty"`
	Because   string           `json:"request_reason,omitempty"` // why the actor asked
	RequestID string           `json:"request_id,omitempty"`
	Undoes    string           `json:"undoes,omitempty"`
	Cancel    *byReply         `json:"cancel,omitempty"`
	Apply     *byReply         `json:"apply,omitempty"`
	Owner     string           `json:"owner,omitempty"`
	CreatedAt time.Time        `json:"created_at"`
	UpdatedAt time.Time        `json:"updated_at"`
	EndedAt   time.Time        `json:"ended_at,omitzero"`
}

type firmwareEventReply struct {
	Seq     int64                `json:"seq"`
	Time    time.Time            `json:"time"`
	Run     string               `json:"run"`
	Kind    firmware.EventKind   `json:"kind"`
	State   firmware.State       `json:"state"`
	Device  firmware.DeviceState `json:"device"`
	Percent int                  `json:"percent"`
	Actor   string               `json:"actor,omitempty"`
	Message string               `json:"message,omitempty"`
}

func (r firmwareRunReply) runID() string { return r.ID }

// runsOf serves the runs of the device. What is logged is for who may see details.
func (f *firmwareRoutes) runsOf() *runRoutes[firmware.Run, firmwareRunReply, firmware.Event] {
	return &runRoutes[firmware.Run, firmwareRunReply, firmware.Event]{
		path: f.prefix + "/upkeep/v1/firmware/runs", service: f.service, show: firmwareRunOf,
		corrupt: firmware.ErrCorrupt, compacted: firmware.ErrCompacted,
		facts: func(r *firmware.Run) runFacts { return runFacts{r.ID, r.Seq, r.State.Done(), r.EndedAt, &r.Reason} },
		tell: func(e firmware.Event) runEvent {
			told := runEvent{
				Event: web.Event{ID: e.Seq, Name: string(e.Kind), Data: firmwareEventReply(e)},
				run:   e.Run, at: e.Time, ended: e.Kind == firmware.EventEnded, corrupt: e.Kind == firmware.EventCorrupt,
			}
			if e.Kind != firmware.EventLog {
				e.Message = ""
				told.outline = firmwareEventReply(e)
			}
			return told
		},
	}
}

// firmwareStatusOf is what a caller may see of a device.
func firmwareStatusOf(c *web.Call, st firmware.Status) firmwareStatusReply {
	reply := firmwareStatusReply{
		State: st.State, Info: firmwareInfo(c, st), Version: st.Version, OSName: st.OSName, Disabled: st.Disabled,
		Settings: firmwareSettingsOf(st.Settings), Checked: st.Check.Time, Failed: st.Check.Err() != nil,
		Newest: st.Newest.Version, UpToDate: st.UpToDate,
	}
	if details(c) {
		reply.Reason = st.Check.Reason
	}
	for _, r := range []struct {
		from *firmware.Run
		to   **firmwareRunReply
	}{{st.Run, &reply.Run}, {st.Last, &reply.Last}} {
		if r.from != nil {
			run := firmwareRunOf(c, *r.from)
			*r.to = &run
		}
	}
	return reply
}

// firmwareInfo is what more a caller may know about a state. What went wrong is
// for who may see details.
func firmwareInfo(c *web.Call, st firmware.Status) string {
	if !details(c) && (st.State == firmware.DeviceFailed || st.State == firmware.DeviceUnavailable) {
		return ""
	}
	return st.Info
}

func firmwareSettingsOf(s firmware.Settings) firmwareSettings {
	return firmwareSettings{Enable: s.Checks, EnableExpr: s.Prereleases}
}

func (b firmwareChange) apply(s *firmware.Settings) {
	if b.Enable != nil {
		s.Checks = *b.Enable
	}
	if b.EnableExpr != nil {
		s.Prereleases = *b.EnableExpr
	}
}

// firmwareRunOf is what a caller may see of a run.
func firmwareRunOf(c *web.Call, r firmware.Run) firmwareRunReply {
	reply := firmwareRunReply{
		ID: r.ID, From: r.From, Version: r.Version, Digest: hex.EncodeToString(r.Release.Digest[:]), Size: r.Release.Size,
		State: r.State, Percent: r.Percent, Pulled: waysOf(r.Pulled), Reason: r.Reason, Cause: r.Cause,
		Requested: r.Request.Version, Actor: r.Request.By.Actor, Because: r.Request.By.Reason, RequestID: r.Request.By.RequestID,
		Undoes: r.Undoes, Cancel: firmwareByOf(r.Cancel), Apply: firmwareByOf(r.Apply), Owner: r.Owner,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, EndedAt: r.EndedAt,
	}
	if !details(c) {
		reply.Reason, reply.Owner = "", ""
	}
	return reply
}

func firmwareByOf(by *firmware.By) *byReply {
	if by == nil {
		return nil
	}
	return &byReply{Actor: by.Actor, Reason: by.Reason}
}

// waysOf are bytes by the way in which they come.
func waysOf(bytes map[firmware.Way]int64) map[string]int64 {
	ways := map[string]int64{}
	for _, way := range slices.Sorted(maps.Keys(bytes)) {
		ways[string(way)] = bytes[way]
	}
	return ways
}
