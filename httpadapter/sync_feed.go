package httpadapter

import (
	"context"
	"iter"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// socketRoute follows the documented events over a WebSocket.
func (s *syncRoutes) socketRoute(spoken siyuan, name, pattern string, query ...web.Field) web.Route {
	return web.Route{
		Name: name, API: spoken.socket.API, Methods: web.Reading[:1], Pattern: pattern, Needs: int(Reader), Socket: true,
		Summary: "Follow the events of syncs over a WebSocket (inferred)", Speaks: spoken.socket, Gives: siyuanFrame{}, Handle: s.follow,
		Query: append(query, web.Whole("since", "begin after the event with this seq; default: now; compacted says that it is not there", 0)),
	}
}

// follow is the WebSocket. The client may say who it is, which means nothing.
func (s *syncRoutes) follow(c *web.Call) error {
	since, err := c.Number("since", 0, -1)
	if err != nil {
		return err
	}
	details := details(c)
	return c.Socket(since, func(ctx context.Context, after int64) iter.Seq2[web.Event, error] {
		return web.Map(s.syncer.Watch(ctx, after), func(e cloudsync.Event, err error) (web.Event, error) {
			frame := siyuanFrameOf(e, details)
			return web.Event{ID: e.Seq, Name: frame.Cmd, Data: frame}, err
		})
	}, cloudsync.ErrCompacted, func(e web.Event) any {
		if told, ok := e.Data.(web.Compacted); ok {
			return siyuanFrame{Cmd: e.Name, Seq: e.ID, Data: siyuanFrameData{After: &told.After}}
		}
		return e.Data
	})
}

// siyuanCommands are the names of the document for what is told.
var siyuanCommands = map[cloudsync.EventKind]string{
	cloudsync.EventStarted: "syncBegin", cloudsync.EventStep: "syncProgress", cloudsync.EventProgress: "syncProgress",
	cloudsync.EventRetry: "syncRetry", cloudsync.EventLog: "syncLog", cloudsync.EventCancel: "syncLog",
	cloudsync.EventRecovered: "syncLog", cloudsync.EventEnded: "syncEnd", cloudsync.EventCorrupt: "syncLog",
}

// siyuanInfos are what is said of events that say nothing themselves, and of
// steps.
var (
	siyuanInfos = map[cloudsync.EventKind]string{
		cloudsync.EventStarted: "准备同步中...", cloudsync.EventRetry: "The cloud is asked again", cloudsync.EventCancel: "Somebody asks to stop",
		cloudsync.EventRecovered: "Taken over", cloudsync.EventCorrupt: "An event cannot be read", cloudsync.EventEnded: "Done",
	}
	siyuanSteps = map[cloudsync.Step]string{
		cloudsync.StepScan: "Looking for changes", cloudsync.StepMerge: "Merging", cloudsync.StepUpload: "Uploading",
		cloudsync.StepDownload: "Downloading", cloudsync.StepApply: "Changing files", cloudsync.StepCompact: "Tidying up",
	}
)

// siyuanFrameOf is an event as clients of the document are told it; one that they
// are not told of has no Cmd. What is logged, and why a run fails, is for who may
// see details.
func siyuanFrameOf(e cloudsync.Event, details bool) siyuanFrame {
	f := siyuanFrame{Cmd: siyuanCommands[e.Kind], Seq: e.Seq, Data: siyuanFrameData{
		Run: e.Run, Current: e.Progress.Files, Total: e.Progress.AllFiles, Info: siyuanInfos[e.Kind], Msg: e.Path,
	}}
	if f.Data.Info == "" {
		f.Data.Info = siyuanSteps[e.Step]
	}
	if e.Kind == cloudsync.EventLog && !details {
		f.Cmd = ""
	}
	if e.Kind == cloudsync.EventEnded && e.State != cloudsync.StateSucceeded {
		f.Cmd, f.Code, f.Msg, f.Data.Info = "syncFail", codeRefused, "The sync has failed", ""
		if e.State == cloudsync.StateCancelled {
			f.Msg = "The sync was cancelled"
		}
	}
	if details && e.Message != "" {
		f.Data.Msg = e.Message
	}
	return f
}
