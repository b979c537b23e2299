package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// frames asks for a documented sync, and prints what the WebSocket beside its
// route tells of it, up to its end.
func frames(ctx context.Context, state string, args []string, out io.Writer) error {
	if err := call(ctx, state, "", args, out); err != nil {
		return err
	}
	device, _, found := strings.Cut(args[1], "/api/sync/")
	if !found {
		return errors.New("frames: want the path of a sync, such as /api/sync/performSync")
	}
	var newest bytes.Buffer
	if err := call(ctx, state, "id", []string{http.MethodGet, device + "/upkeep/v1/sync/runs?limit=1"}, &newest); err != nil {
		return err
	}
	c, err := readCredentials(state)
	if err != nil {
		return err
	}
	conn, _, err := websocket.Dial(ctx, "ws://"+c.Addr+device+"/ws?since=0", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Token " + c.APIToken}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	return printFrames(ctx, conn, strings.TrimSpace(newest.String()), out)
}

// printFrames prints the frames of a run, each in a line, until it has ended.
func printFrames(ctx context.Context, conn *websocket.Conn, run string, out io.Writer) error {
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var frame struct {
			Cmd  string
			Data struct{ Run string }
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			return err
		}
		if frame.Data.Run != run {
			continue
		}
		fmt.Fprintf(out, "%s\n", text)
		switch frame.Cmd {
		case "syncEnd":
			return nil
		case "syncFail":
			return errors.New("the sync has failed")
		}
	}
}
