package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/examples/internal/load"
)

// usage tells of the commands, which are for a second terminal.
const usage = `Usage: server [flags]                                        serves
       server [-state DIR] -stop                            ends the processes of the service, when no server runs
       server [-state DIR] call [flags] METHOD PATH [JSON]  asks the server that runs, and prints its reply
       server [-state DIR] show NAME                        prints "state", the folder, or a member of credentials.json
       server load [flags] URL                               asks again and again, and prints each second who answered
       server greet IMAGE VERSION                           is a replica of the service, as the server starts it

`

// startTime is how long a command waits for a server that has just been started.
const startTime = 10 * time.Second

// command does what args say, with the server that was started last in the
// state folder.
func command(ctx context.Context, state string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is in the error
	var do func() error
	switch args[0] {
	case "call":
		pick := flags.String("pick", "", "print no more than the `member` of that name, of a list that of its first item")
		told := flags.Bool("frames", false, "print what the WebSocket tells of the sync that the call begins, too")
		do = func() error {
			if *told {
				return frames(ctx, state, flags.Args(), out)
			}
			return call(ctx, state, *pick, flags.Args(), out)
		}
	case "show":
		do = func() error { return show(state, flags.Args(), out) }
	case "load":
		rate := flags.Int("rate", 50, "so many requests a second")
		do = func() error { return keepAsking(ctx, *rate, flags.Args(), out) }
	case "greet":
		do = func() error { return greet(ctx, flags.Args(), out) }
	default:
		return fmt.Errorf("there is no command %q: want call, show, load or greet", args[0])
	}
	err := flags.Parse(args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return do()
}

// keepAsking sends requests until ctx ends.
func keepAsking(ctx context.Context, rate int, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("load: want one URL")
	}
	sum, err := load.Run(ctx, load.Config{URL: args[0], Rate: rate}, out)
	fmt.Fprintln(out, "in all:", sum)
	return err
}

// show prints what a script may need to know.
func show(state string, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("show: want one name")
	}
	if args[0] == "state" {
		fmt.Fprintln(out, state)
		return nil
	}
	text, err := os.ReadFile(filepath.Join(state, "credentials.json"))
	if err != nil {
		return err
	}
	var members map[string]string
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	value, ok := members[args[0]]
	if !ok {
		return fmt.Errorf("show: want state or one of %q", slices.Sorted(maps.Keys(members)))
	}
	fmt.Fprintln(out, value)
	return nil
}

// call sends a request with the credentials that its API asks for.
func call(ctx context.Context, state, pick string, args []string, out io.Writer) error {
	if len(args) != 2 && len(args) != 3 {
		return errors.New(`call: want a method, a path and perhaps a body, such as call GET /lv/status/0`)
	}
	resp, err := ask(ctx, state, args[0], args[1], strings.Join(args[2:], ""))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		_, err := io.Copy(out, resp.Body)
		if ctx.Err() != nil { // by Ctrl-C, as it is meant to end
			return nil
		}
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		fmt.Fprintf(out, "%s\n", bytes.TrimSpace(text))
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	if said := refused(text); said != "" {
		_, _ = out.Write(lines(text))
		return fmt.Errorf("the server answered %s", said)
	}
	if pick == "" {
		_, err = out.Write(lines(text))
		return err
	}
	value, ok := member(text, pick)
	if !ok {
		return fmt.Errorf("the reply has no %q", pick)
	}
	fmt.Fprintln(out, value)
	return nil
}

// refused returns how the update API or the sync API says so, whose status is 200
// even then, or "".
func refused(reply []byte) string {
	var r struct {
		Status string `json:"status"`
		Code   int    `json:"code"`
	}
	switch err := json.Unmarshal(reply, &r); {
	case err == nil && r.Status == "fail":
		return `"fail"`
	case err == nil && r.Code < 0:
		return fmt.Sprintf("code %d", r.Code)
	}
	return ""
}

// ask sends the request. It waits for a server that is about to start.
func ask(ctx context.Context, state, method, path, body string) (*http.Response, error) {
	for began := time.Now(); ; {
		c, err := readCredentials(state)
		var resp *http.Response
		if err == nil {
			resp, err = c.send(ctx, method, path, body)
		}
		dial, refused := errors.AsType[*net.OpError](err)
		starting := errors.Is(err, fs.ErrNotExist) || refused && dial.Op == "dial"
		if !starting || time.Since(began) > startTime {
			return resp, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func readCredentials(state string) (c credentials, err error) {
	text, err := os.ReadFile(filepath.Join(state, "credentials.json"))
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

// send adds to a request what its API wants: the row-version API the table, the
// key pair and who asks, the update API a token in the body, and our own routes
// a bearer token.
func (c credentials) send(ctx context.Context, method, path, body string) (*http.Response, error) {
	u, err := url.Parse("http://" + c.Addr + path)
	if err != nil {
		return nil, err
	}
	header, query := http.Header{"Content-Type": {"application/json"}}, u.Query()
	add := func(name, value string) {
		if !query.Has(name) {
			query.Set(name, value)
		}
	}
	if strings.Contains(u.Path, "/lv/") {
		add("appid", c.AppID)
		add("schemaid", c.SchemaID)
	}
	switch {
	case strings.HasPrefix(u.Path, "/lv/"):
		add("authid", c.AuthID)
		add("authkey", c.AuthKey)
		header.Set("Staffname", c.StaffName)
	case strings.HasPrefix(u.Path, "/api/v1/update"):
		members := map[string]any{}
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			return nil, fmt.Errorf("the body: %w", err)
		}
		members["api_token"] = c.APIToken
		text, err := json.Marshal(members)
		if err != nil {
			return nil, err
		}
		body = string(text)
	default:
		header.Set("Authorization", "Bearer "+c.APIToken)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("asking the server at %s: %w", c.Addr, e.Err) // without the URL, which has the key pair
	}
	return resp, err
}

// lines returns JSON without spaces, with each item of its list in a line.
func lines(text []byte) []byte {
	var compact, out bytes.Buffer
	if json.Compact(&compact, text) != nil {
		return text
	}
	text = compact.Bytes()
	var items []json.RawMessage
	start := max(bytes.IndexByte(text, '['), 0)
	d := json.NewDecoder(bytes.NewReader(text[start:]))
	if d.Decode(&items) != nil || len(items) == 0 { // no list, or a text that looks like one
		return append(text, '\n')
	}
	out.Write(text[:start])
	for i, item := range items {
		fmt.Fprintf(&out, "%c\n  %s", "[,"[min(i, 1)], item)
	}
	fmt.Fprintf(&out, "\n]%s\n", text[start+int(d.InputOffset()):])
	return out.Bytes()
}

// member returns the first member of that name, a text without its quotes. It
// looks into an object before what the object has, by name, and into lists from
// their beginning.
func member(text []byte, name string) (string, bool) {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(text, &object) == nil {
		if value, ok := object[name]; ok {
			var plain string
			if json.Unmarshal(value, &plain) == nil {
				return plain, true
			}
			return string(value), true
		}
		for _, inner := range slices.Sorted(maps.Keys(object)) {
			list = append(list, object[inner])
		}
	} else if json.Unmarshal(text, &list) != nil {
		return "", false
	}
	for _, inner := range list {
		if value, ok := member(inner, name); ok {
			return value, true
		}
	}
	return "", false
}
