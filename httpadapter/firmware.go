package httpadapter

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// FirmwareAPI is the update status API of Magewell Control Hub.
const FirmwareAPI API = "firmware"

// firmwareRoutes is the documented status, and what is our own about the
// firmware of the device.
type firmwareRoutes struct {
	service *firmware.Service
	prefix  string // of paths
	body    int64  // bytes of one at most
	image   int64  // and of a bundle
	runs    *runRoutes[firmware.Run, firmwareRunReply, firmware.Event]
}

// firmwareAPI is what is served of Config.Firmware.
func firmwareAPI(c Config) (api web.API, err error) {
	if c.Firmware == nil {
		return api, nil
	}
	f := &firmwareRoutes{
		service: c.Firmware, prefix: c.Prefix, body: cmp.Or(c.Limits.Body, 64<<10), image: c.Limits.Image,
	}
	f.runs = f.runsOf()
	api.Routes = append(f.documentedRoutes(), f.ownRoutes()...)
	api.Trees = map[string]*web.Dialect{"/api/update": magewell}
	api.About = "The update status API of Magewell Control Hub, and what is Upkeep's own about firmware"
	return api, nil
}

// documentedRoutes is the one route of the document. The permission that it
// calls "view system configuration" is Reader.
func (f *firmwareRoutes) documentedRoutes() []web.Route {
	return []web.Route{{
		Name: "getUpdateStatus", API: magewell.API, Methods: web.Reading, Pattern: "/api/update/status",
		Needs: int(Reader), Summary: "Tell the state of the update service",
		Speaks: magewell, Gives: magewellReply{}, Handle: f.status,
		Query: []web.Field{
			web.Whole("start", "number of the first version of the history; default 1", 0),
			web.Whole("count", "at most so many, and never more than 100; default 3", 0),
		},
	}}
}

// magewellMedia is the documented Content-Type.
const magewellMedia = "application/json; charset=UTF-8"

// magewell is how the documented route is spoken.
var magewell = &web.Dialect{
	API: string(FirmwareAPI), Credential: magewellCredential, Failures: magewellFailures, Say: magewellSay, Terse: true,
	Speech: web.Speech{Name: "magewell", Media: magewellMedia, Words: firmwareWords, Security: map[string]any{
		"mwcloud-sid": map[string]any{"type": "apiKey", "in": "cookie", "name": "mwcloud-sid"},
		"mwcloud-uid": map[string]any{"type": "apiKey", "in": "cookie", "name": "mwcloud-uid"},
	}},
}

// magewellCredential is the two cookies, each of which must be there once: of
// two of a name nobody can tell which one somebody else has set.
func magewellCredential(c *web.Call) (web.Credential, error) {
	sid, uid := c.Request.CookiesNamed("mwcloud-sid"), c.Request.CookiesNamed("mwcloud-uid")
	if len(sid) != 1 || len(uid) != 1 || sid[0].Value == "" || uid[0].Value == "" {
		return web.Credential{}, ErrNoCredential
	}
	return web.Credential{Secret: sid[0].Value, ID: uid[0].Value}, nil
}

// The results of the envelope. Only 0 is documented; the vendor's table of the
// others is not public, so that they are ours.
const (
	resultFailed = 1 + iota
	resultInvalid
	resultNotLoggedIn
	resultForbidden
	resultMethod
)

var magewellFailures = []web.Failure{
	{Err: ErrNoCredential, Status: http.StatusUnauthorized},
	{Err: ErrBadCredential, Status: http.StatusUnauthorized},
	{Err: ErrExpired, Status: http.StatusUnauthorized},
	{Err: ErrForbidden, Status: http.StatusForbidden},
	{Err: firmware.ErrClosed, Status: http.StatusServiceUnavailable},
}

func magewellSay(r *web.Refusal, _ error) web.Answer {
	result := map[int]int{
		http.StatusBadRequest: resultInvalid, http.StatusRequestURITooLong: resultInvalid,
		http.StatusUnauthorized: resultNotLoggedIn, http.StatusForbidden: resultForbidden,
		http.StatusMethodNotAllowed: resultMethod,
	}[r.Status]
	return web.Answer{Status: r.Status, Media: magewellMedia, Body: magewellFail{Result: cmp.Or(result, resultFailed)}}
}

// magewellStates are the codes of the document. 0x80 is not in it, and never
// sent.
var magewellStates = map[firmware.DeviceState]int{
	firmware.DeviceIdle: 0, firmware.DeviceCheckingLocal: 0x1, firmware.DeviceCheckingOnline: 0x2,
	firmware.DevicePulling: 0x4, firmware.DeviceVerifying: 0x8, firmware.DeviceUploading: 0x10,
	firmware.DeviceCancelling: 0x20, firmware.DeviceRestarting: 0x40,
	firmware.DeviceUnavailable: 0x100, firmware.DeviceFailed: 0x200,
}

// magewellErrors are the codes of check-result and update-result, in the order
// in which an error is looked for. They are ours, but for 0.
var magewellErrors = []struct {
	err  error
	code int
}{
	{firmware.ErrNoSpace, 7}, {firmware.ErrSignature, 9}, {firmware.ErrExpired, 10}, {firmware.ErrReplayed, 11},
	{firmware.ErrDowngrade, 12}, {firmware.ErrMismatch, 13}, {firmware.ErrNotFound, 14}, {firmware.ErrUnhealthy, 15},
	{firmware.ErrCorrupt, 8}, {firmware.ErrUnavailable, 6}, {firmware.ErrInvalid, resultInvalid},
}

func magewellError(err error) int {
	if err == nil {
		return 0
	}
	for _, e := range magewellErrors {
		if errors.Is(err, e.err) {
			return e.code
		}
	}
	return resultFailed
}

// status tells what the device does, from its record alone.
func (f *firmwareRoutes) status(c *web.Call) error {
	start, err := c.Number("start", 0, 1)
	if err != nil {
		return err
	}
	count, err := c.Number("count", 0, 3)
	if err != nil {
		return err
	}
	st, err := f.service.Status(c.Context())
	if err != nil && c.Context().Err() != nil {
		return err
	}
	if err != nil {
		c.Report(err)
	}
	reply := magewellStatus{
		State: magewellStates[st.State], Version: st.Version, OSName: st.OSName, Info: firmwareInfo(c, st),
		EnableUpdate: !st.Disabled && st.State != firmware.DeviceUnavailable,
	}
	if st.State == firmware.DevicePulling && st.Run != nil {
		reply.Progress = st.Run.Percent
	}
	online := &reply.Online
	online.CheckResult, online.IsNewest = magewellError(st.Check.Err()), st.UpToDate
	online.Enable, online.EnableExpr = st.Settings.Checks, st.Settings.Prereleases
	if !st.Check.Time.IsZero() {
		online.Date = st.Check.Time.Unix()
	}
	if last := st.Last; st.State == firmware.DeviceFailed && last != nil {
		online.UpdateResult = magewellError(last.Err())
	}
	online.Newest = magewellVersionOf(st.Newest)
	online.Versions = magewellPage(st, max(start, 1), min(count, 100))
	c.Send(web.Answer{Status: http.StatusOK, Media: magewellMedia, Body: magewellReply{Status: reply}})
	return nil
}

// magewellPage is a part of the history: the releases but for the newest, of
// which the first has the number 1.
func magewellPage(st firmware.Status, start, count int64) magewellVersions {
	page := magewellVersions{Start: start, List: []magewellVersion{}}
	for _, r := range st.Catalog.Releases {
		if r.Prerelease && !st.Settings.Prereleases || r.Digest == st.Newest.Digest && r.Version == st.Newest.Version {
			continue
		}
		page.Total++
		if page.Total >= start && int64(len(page.List)) < count {
			page.List = append(page.List, magewellVersionOf(r))
		}
	}
	return page
}

func magewellVersionOf(r firmware.Release) magewellVersion {
	v := magewellVersion{Version: r.Version, IsExpr: r.Prerelease}
	if r.Digest != [32]byte{} {
		v.Digest = hex.EncodeToString(r.Digest[:])
	}
	if !r.Time.IsZero() {
		v.Date = r.Time.Unix()
	}
	return v
}
