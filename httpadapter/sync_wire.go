package httpadapter

import (
	"time"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// performBody asks for the documented sync.
type performBody struct {
	App       string `json:"app" openapi:"needed,maxLength=256,description=the client that asks"`
	Force     bool   `json:"force"`
	PushMode  string `json:"pushMode" openapi:"enum=|force-push|force-pull"`
	PushOnly  bool   `json:"pushOnly" openapi:"description=as pushMode force-push"`
	CloudName string `json:"cloudName" openapi:"description=another remote than the one in use: this run starts from what was last synced with it"`
}

// enableBody switches syncs.
type enableBody struct {
	Enabled *bool `json:"enabled" openapi:"needed"`
}

// dirBody names a cloud directory.
type dirBody struct {
	Name string `json:"name" openapi:"needed,maxLength=63"`
}

// siyuanReply is the envelope of what was done.
type siyuanReply struct {
	Code int    `json:"code" openapi:"const=0"`
	Msg  string `json:"msg" openapi:"const="`
	Data any    `json:"data"`
}

// siyuanFail is the reply to what was not done.
type siyuanFail struct {
	Code int       `json:"code" openapi:"const=-1"`
	Msg  string    `json:"msg"`
	Data *struct{} `json:"data"` // null
}

// siyuanStranger is the reply to somebody who is not known.
type siyuanStranger struct {
	Code int    `json:"code" openapi:"const=-1"`
	Msg  string `json:"msg"`
}

// siyuanReadOnly is the reply where nothing may be changed.
type siyuanReadOnly struct {
	Code int            `json:"code" openapi:"const=-1"`
	Msg  string         `json:"msg"`
	Data siyuanPatience `json:"data"`
}

type siyuanPatience struct {
	CloseTimeout int `json:"closeTimeout"` // how long a client shows it, in ms
}

// siyuanProgress is how far a sync has come.
type siyuanProgress struct {
	Current int64  `json:"current"` // files
	Total   int64  `json:"total"`
	Info    string `json:"info"`
	Msg     string `json:"msg"`
}

type siyuanInfo struct {
	Synced  int64          `json:"synced"` // Unix ms; 0 for never
	Stat    string         `json:"stat"`
	Kernels []siyuanKernel `json:"kernels"` // the devices that have committed
	Kernel  string         `json:"kernel"`  // this one
	siyuanProgress
}

type siyuanKernel struct {
	ID       string `json:"id"`
	Hostname string `json:"hostname"`
	OS       string `json:"os" openapi:"const=,description=not known"`
	Ver      string `json:"ver" openapi:"const=,description=not known"`
}

type siyuanDirs struct {
	SyncDirs       []siyuanDir `json:"syncDirs"`
	HSize          string      `json:"hSize" openapi:"const=,description=not known"`
	CheckedSyncDir string      `json:"checkedSyncDir"` // the one in use
}

type siyuanDir struct {
	Size      int64  `json:"size" openapi:"const=0,description=not known"` // bytes
	HSize     string `json:"hSize" openapi:"const="`
	Updated   string `json:"updated" openapi:"const="`
	CloudName string `json:"cloudName"`
	SaveDir   bool   `json:"saveDir"`
}

// siyuanFrame is a message of the WebSocket. What it has no value for is there
// for clients of the public program.
type siyuanFrame struct {
	Cmd      string          `json:"cmd" openapi:"enum=syncBegin|syncProgress|syncRetry|syncLog|syncEnd|syncFail|compacted"`
	ReqID    int             `json:"reqId"`
	App      string          `json:"app"`
	SID      string          `json:"sid"`
	PushMode int             `json:"pushMode" openapi:"description=who is told: 0 is everybody"`
	Callback string          `json:"callback"`
	Code     int             `json:"code" openapi:"enum=0|-1"`
	Msg      string          `json:"msg"`
	Data     siyuanFrameData `json:"data"`
	Seq      int64           `json:"seq" openapi:"description=for since; 0 for a compacted"`
}

type siyuanFrameData struct {
	Run     string `json:"run"`
	Current int64  `json:"current"` // files
	Total   int64  `json:"total"`
	Info    string `json:"info"`
	Msg     string `json:"msg"`
	After   *int64 `json:"after,omitempty" openapi:"description=of a compacted: the events after this one are no longer kept"`
}

// syncWords are the values of the types that have few.
var syncWords = []any{
	cloudsync.StateRunning, cloudsync.StateSucceeded, cloudsync.StateCancelled, cloudsync.StateFailed, cloudsync.State(""),
	cloudsync.StepScan, cloudsync.StepMerge, cloudsync.StepUpload, cloudsync.StepDownload, cloudsync.StepApply, cloudsync.StepCompact,
	cloudsync.Step(""),
	cloudsync.KindSync, cloudsync.KindRestore, cloudsync.KindCompact, cloudsync.KindRepair, cloudsync.Kind(""),
	cloudsync.ModeTwoWay, cloudsync.ModeForcePush, cloudsync.ModeForcePull,
	cloudsync.ActionUpload, cloudsync.ActionDownload, cloudsync.ActionDeleteRemote, cloudsync.ActionDeleteLocal,
	cloudsync.ActionRenameRemote, cloudsync.ActionRenameLocal, cloudsync.ActionMerge, cloudsync.ActionConflict,
	cloudsync.EventStarted, cloudsync.EventStep, cloudsync.EventProgress, cloudsync.EventRetry, cloudsync.EventLog, cloudsync.EventCancel,
	cloudsync.EventRecovered, cloudsync.EventEnded, cloudsync.EventConfigured, cloudsync.EventCorrupt,
	cloudsync.DifferenceAdded, cloudsync.DifferenceEdited, cloudsync.DifferenceDeleted, cloudsync.DifferenceRenamed,
	cloudsync.KeepFile, cloudsync.KeepCopy, cloudsync.KeepBoth, cloudsync.DepthObjects, cloudsync.DepthContents, cloudsync.Depth(""),
}

// siyuanInfoOf is what is told of the present.
func siyuanInfoOf(c *web.Call, st cloudsync.Status) siyuanInfo {
	reply := siyuanInfo{Kernels: each(st.Devices, func(d cloudsync.Device) siyuanKernel {
		return siyuanKernel{ID: d.Name, Hostname: d.Name}
	}), Kernel: st.Device}
	if !st.SyncedAt.IsZero() {
		reply.Synced = st.SyncedAt.UnixMilli()
		reply.Stat = "Synced at " + st.SyncedAt.UTC().Format(time.RFC3339)
	}
	switch last := st.Last; {
	case st.Run != nil:
		reply.Stat, reply.Info = "A sync is in progress", siyuanSteps[st.Run.Step]
		reply.Current, reply.Total = st.Run.Progress.Files, st.Run.Progress.AllFiles
	case !st.Settings.Enabled:
		reply.Stat = "Sync is switched off"
	case last != nil && last.State == cloudsync.StateFailed && details(c):
		reply.Stat = "The last sync failed: " + last.Reason
	case last != nil && last.State == cloudsync.StateFailed:
		reply.Stat = "The last sync failed"
	}
	return reply
}
