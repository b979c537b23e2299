package httpadapter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter"
)

const ownFirmware = "/upkeep/v1/firmware"

// newest is the release that the site's device is offered.
func (g *gadget) newest() firmware.Release { return g.shelf.catalog.Releases[0] }

// uploaded sends a bundle as a browser's form does.
func (s *site) uploaded(file []byte, prepare ...func(*http.Request)) reply {
	prepare = append(prepare, as(admin), header("Content-Type", formMedia))
	return s.send("POST", ownFirmware+"/upload?reason=by+hand&request_id=7", formOf(file), prepare...)
}

// untouched requires that nothing is in the other slot that could be started.
func (s *site) untouched(t *testing.T) {
	pair, err := s.gadget.sim.Pair(t.Context())
	require.NoError(t, err)
	require.False(t, pair.Other.Whole)
	require.Equal(t, "a", s.gadget.sim.Running())
}

func TestABundleIsUploadedByAForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		r := s.uploaded(s.gadget.shelf.bundle(s.gadget.newest()))
		require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
		run := r.json(t)
		require.Equal(t, ownFirmware+"/runs/"+run["id"].(string), r.Header.Get("Location"))
		require.Equal(t, []any{"1.1.0", "ann", "by hand", "7", 100.0},
			[]any{run["version"], run["actor"], run["request_reason"], run["request_id"], run["percent"]})
		require.Equal(t, map[string]any{"bundle": 10.0 * segmentSize}, run["pulled"])
		synctest.Wait()
		require.EqualValues(t, 64, s.send("GET", updateStatus, "", cookies(reader)).json(t)["status"].(map[string]any)["state"])
		again := s.uploaded(nil)
		require.Equal(t, run["id"], again.json(t)["id"], "the request is known")
	})
}

func TestABundleThatIsRefusedLeavesNothing(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Image = 64 << 10 }}).open(t)
	good := s.gadget.shelf.bundle(s.gadget.newest())
	foreign := s.gadget.newest()
	foreign.MinFrom = "1.0.1"
	for _, tt := range []struct {
		name   string
		file   []byte
		status int
		slug   string
	}{
		{"no bundle", []byte("hello, this is no bundle"), 400, "invalid-request"},
		{"nothing", nil, 422, "corrupt"},
		{"a bundle that nobody has signed", bytes.Replace(good, []byte("{"), []byte("["), 1), 422, "bad-signature"},
		{"a bundle for others", s.gadget.shelf.bundle(foreign), 422, "mismatch"},
		{"another index", bytes.Replace(good, []byte("upkfwi1\n"), []byte("upkfwi2\n"), 1), 422, "corrupt"},
		{"too long a body", append(bytes.Clone(good), make([]byte, 64<<10)...), 413, "body-too-large"},
	} {
		r := s.uploaded(tt.file)
		require.Equal(t, tt.status, r.StatusCode, "%s: %s", tt.name, r.text)
		require.Equal(t, tt.slug, r.problem(t), tt.name)
	}
	runs := func() int { return len(s.get(ownFirmware + "/runs").json(t)["runs"].([]any)) }
	require.Zero(t, runs())
	longer := s.uploaded(append(bytes.Clone(good), 0))
	require.Equal(t, "corrupt", longer.problem(t), "what is behind the end is in no image")
	require.Equal(t, 1, runs())
	require.Equal(t, http.StatusForbidden, s.uploaded(good, header("Sec-Fetch-Site", "cross-site")).StatusCode)
	require.Equal(t, http.StatusForbidden, s.send("POST", ownFirmware+"/upload", formOf(good), as(reader), header("Content-Type", formMedia)).StatusCode)
	require.Equal(t, 1, runs())
	s.untouched(t)
}

// begun sends the head of an upload and so many bytes of its body, and returns
// the connection.
func (l *pipeListener) begun(t *testing.T, body string, bytes int) io.ReadWriteCloser {
	connection, err := l.dial(t.Context(), "", "")
	require.NoError(t, err)
	beginUpload(t, connection, body, bytes)
	return connection
}

func beginUpload(t *testing.T, connection io.Writer, body string, bytes int) {
	_, err := fmt.Fprintf(connection, "POST %s/upload HTTP/1.1\r\nHost: site\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		ownFirmware, admin, formMedia, len(body), body[:bytes])
	require.NoError(t, err)
}

func TestAClientThatDiesOrStopsInAnUploadLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(io.ReadWriteCloser)
	}{
		{"dies", func(c io.ReadWriteCloser) { _ = c.Close() }},
		{"stops", func(c io.ReadWriteCloser) {
			time.Sleep(31 * time.Second)
			text, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Contains(t, string(text), "400 Bad Request")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(site).open(t)
				l, _ := s.listen(t)
				body := formOf(s.gadget.shelf.bundle(s.gadget.newest()))
				client := l.begun(t, body, len(body)/2)
				synctest.Wait()
				status := s.get(ownFirmware + "/status").json(t)
				require.Equal(t, "uploading", status["state"])
				require.Equal(t, "running", status["run"].(map[string]any)["state"])
				tt.end(client)
				synctest.Wait()
				status = s.get(ownFirmware + "/status").json(t)
				require.Equal(t, "idle", status["state"])
				require.Nil(t, status["run"])
				require.Contains(t, []any{"cancelled", "failed"}, status["last"].(map[string]any)["state"])
				s.untouched(t)
				require.Equal(t, http.StatusAccepted, s.uploaded(s.gadget.shelf.bundle(s.gadget.newest())).StatusCode, "and nothing is in the way")
			})
		})
	}
}

func TestAClientThatStopsInAnUploadIsToldSoWhereverItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		l, _ := s.listen(t)
		body := formOf(s.gadget.shelf.bundle(s.gadget.newest()))
		for _, bytes := range []int{0, 50, 150, 250, len(body) / 2, len(body) - 100, len(body) - 1} {
			client := l.begun(t, body, bytes)
			time.Sleep(31 * time.Second)
			text, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Contains(t, string(text), "400 Bad Request", bytes)
			require.Contains(t, string(text), "cut short", bytes)
		}
		s.untouched(t)
	})
}

func TestSettingsOfFirmwareAreChangedOneByOne(t *testing.T) {
	s := new(site).open(t)
	for _, tt := range []struct{ body, want string }{
		{"", `{"enable":true,"enable-expr":true}`},
		{`{"enable-expr":false}`, `{"enable":true,"enable-expr":false}`},
		{`{"enable":false}`, `{"enable":false,"enable-expr":false}`},
		{`{"enable":null}`, `{"enable":false,"enable-expr":false}`},
		{`{"enable":true,"enable-expr":true}`, `{"enable":true,"enable-expr":true}`},
	} {
		if tt.body != "" {
			r := s.send("PATCH", ownFirmware+"/settings", tt.body, as(admin))
			require.JSONEq(t, tt.want, r.text, tt.body)
		}
		require.JSONEq(t, tt.want, s.send("GET", ownFirmware+"/settings", "", as(reader)).text, tt.body)
	}
	require.Equal(t, http.StatusForbidden, s.send("PATCH", ownFirmware+"/settings", `{}`, as(reader)).StatusCode)
	online := s.send("GET", updateStatus, "", cookies(reader)).json(t)["status"].(map[string]any)["online-status"].(map[string]any)
	require.Equal(t, []any{true, true}, []any{online["enable"], online["enable-expr"]})
}

func TestAFeedThatSaysWhenIsPassedOn(t *testing.T) {
	s := (&site{prepare: func(g *gadget) {
		g.shelf.get = func(context.Context, string) error {
			return &firmware.UnavailableError{After: 90 * time.Second, Err: fmt.Errorf("at /secret/host")}
		}
	}}).open(t)
	r := s.post(ownFirmware+"/check", "")
	require.Equal(t, http.StatusBadGateway, r.StatusCode)
	require.Equal(t, "feed-unavailable", r.problem(t))
	require.Equal(t, "90", r.Header.Get("Retry-After"))
	require.NotContains(t, r.text, "secret")
	for token, told := range map[string]bool{reader: false, admin: true} {
		r := s.send("GET", ownFirmware+"/status", "", as(token))
		require.Equal(t, true, r.json(t)["check_failed"])
		require.Equal(t, told, strings.Contains(r.text, "/secret/host"))
	}
	status := s.send("GET", updateStatus, "", cookies(reader))
	require.NotContains(t, status.text, "secret")
	require.EqualValues(t, 6, status.json(t)["status"].(map[string]any)["online-status"].(map[string]any)["check-result"])
}

// What goes wrong on a device is for who may change it.
func TestAReaderSeesRunsOfFirmwareWithoutWhatWentWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&site{prepare: func(g *gadget) {
			g.seams.activate = func() error { return fmt.Errorf("/secret/device is gone") }
		}}).open(t)
		l, _ := s.listen(t)
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer client.CloseIdleConnections()
		started := s.post(ownFirmware+"/update", `{"reason":"friday"}`)
		require.Equal(t, http.StatusAccepted, started.StatusCode, started.text)
		id := started.json(t)["id"].(string)
		synctest.Wait()
		for token, told := range map[string]bool{reader: false, admin: true} {
			for _, path := range []string{"/status", "/runs", "/runs/" + id} {
				r := s.send("GET", ownFirmware+path, "", as(token))
				require.Contains(t, r.text, `"state":"failed"`)
				require.Equal(t, told, strings.Contains(r.text, "/secret/device"), r.text)
				require.Equal(t, told, strings.Contains(r.text, `"owner"`), r.text)
			}
			r := s.send("GET", updateStatus, "", cookies(token))
			require.EqualValues(t, 512, r.json(t)["status"].(map[string]any)["state"])
			require.Equal(t, told, strings.Contains(r.text, "/secret/device"), r.text)
			events := listen(t, client, ownFirmware+"/events?run="+id, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }).rest()
			require.Equal(t, "started", events[0].name)
			last := events[len(events)-1]
			require.Equal(t, "ended", last.name)
			require.Equal(t, told, strings.Contains(fmt.Sprint(last.data["message"]), "/secret/device"))
			r = s.send("GET", ownFirmware+"/events?run="+id+"&after="+last.id, "", as(token))
			require.Equal(t, http.StatusNoContent, r.StatusCode)
		}
	})
}

func TestFirmwareIsAskedForByItsOwnRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&site{prepare: func(g *gadget) {
			g.config.Gate = func(_ context.Context, _ firmware.Run, next firmware.Step) error {
				if next == firmware.StepInstall {
					return fmt.Errorf("the window opens at night")
				}
				return nil
			}
		}}).open(t)
		require.Equal(t, true, s.post(ownFirmware+"/check", "").json(t)["offered"])
		plan := s.send("POST", ownFirmware+"/plan", "", as(reader)).json(t)
		require.Equal(t, []any{"1.0.0", "1.1.0", false}, []any{plan["from"], plan["version"], plan["up_to_date"]})
		run := s.post(ownFirmware+"/update", fmt.Sprintf(`{"plan":%q,"request_id":"r"}`, plan["id"]))
		require.Equal(t, http.StatusAccepted, run.StatusCode, run.text)
		synctest.Wait()
		require.Equal(t, run.json(t)["id"], s.post(ownFirmware+"/update", `{"request_id":"r"}`).json(t)["id"])
		require.Equal(t, "in-progress", s.post(ownFirmware+"/update", "").problem(t))
		status := s.send("GET", updateStatus, "", cookies(reader)).json(t)["status"].(map[string]any)
		require.EqualValues(t, 0, status["state"])
		require.Contains(t, status["info"], "at night")
		require.Len(t, s.get(ownFirmware + "/runs?live=true").json(t)["runs"], 1)
		applied := s.post(ownFirmware+"/apply", `{"reason":"now"}`)
		require.Equal(t, http.StatusAccepted, applied.StatusCode, applied.text)
		synctest.Wait()
		require.Equal(t, "restarting", s.get(ownFirmware + "/status").json(t)["state"])
		require.Equal(t, "too-late", s.post(ownFirmware+"/cancel", "").problem(t))
		require.Equal(t, "in-progress", s.post(ownFirmware+"/confirm", "").problem(t))
		require.Equal(t, "in-progress", s.post(ownFirmware+"/rollback", "").problem(t))
	})
}
