package httpadapter_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage"
)

// firmwareVocabulary are the tokens that buildFirmware understands.
var firmwareVocabulary = []string{"session:SID:UID:PERM", "fixture:documented", "state:N", "progress:N", "update-result:N"}

// checkedAt is when the device of the document has checked.
var checkedAt = time.Unix(1694400871, 0)

// firmwareState is what the tokens of a case ask for.
type firmwareState struct {
	secrets  httpadapter.Secrets // nil: no authenticator
	state    int
	progress int // of a hundred segments
}

func readFirmwareState(given []string) (s firmwareState, err error) {
	s.secrets = httpadapter.Secrets{}
	for _, token := range given {
		name, value, _ := strings.Cut(token, ":")
		n, notNumber := strconv.Atoi(value)
		session := strings.Split(value, ":")
		switch {
		case name == "session" && len(session) == 3:
			role, ok := map[string]httpadapter.Role{"view-config": httpadapter.Reader, "none": httpadapter.Nobody}[session[2]]
			if !ok {
				return s, fmt.Errorf("unknown token %q", token)
			}
			s.secrets[session[0]] = httpadapter.Principal{ID: session[1], Role: role}
		case token == "fixture:documented":
		case token == "authenticator:none":
			s.secrets = nil
		case name == "state" && notNumber == nil && (n == 0 || reached[n] != nil):
			s.state = n
		case name == "progress" && notNumber == nil && n >= 0 && n < 100:
			s.progress = n
		case name == "update-result" && n == 7: // that of an image that does not fit
		default:
			return s, fmt.Errorf("unknown token %q", token)
		}
	}
	return s, nil
}

// documented is a device with the catalog of the document: 51 releases, of which
// it runs the newest, and which the first three are told of in full.
func documented(t testing.TB, db firmware.Store) *gadget {
	g := newGadget(db, "2.1.28")
	for minor := range 22 {
		g.shelf.catalog.Releases = append([]firmware.Release{undocumented("2.0", minor)}, g.shelf.catalog.Releases...)
	}
	// What the cases install is the oldest, so that the list stays as it is.
	small := g.shelf.add(t, undocumented("2.0", 0), imageOf(1, 100))
	large := firmware.Index{Size: 65 << 20, SegmentSize: firmware.MaxSegment}
	for _, size := range []int64{firmware.MaxSegment, 1 << 20} {
		large.Segments = append(large.Segments, firmware.Segment{
			Parts: []firmware.Part{{Way: firmware.WayRaw, Object: "large", Size: size}},
		})
	}
	tooLarge := undocumented("2.0", 1)
	tooLarge.Size = large.Size
	tooLarge = g.shelf.publish(t, tooLarge, large)
	oldest := g.shelf.catalog.Releases[2:]
	oldest[len(oldest)-1], oldest[len(oldest)-2] = small, tooLarge
	g.shelf.catalog.Releases = oldest
	for minor := range 25 {
		g.shelf.catalog.Releases = append([]firmware.Release{undocumented("2.1", minor)}, g.shelf.catalog.Releases...)
	}
	for _, r := range []struct {
		version, digest string
		at              int64
	}{
		{"2.1.25", "53ecb3892f3090591012dfb1387dcf0562ebe5f41589a8a75151da556e56dc40", 1693373940},
		{"2.1.26", "550c2abaa1453ddb912ebc6d7b5233a046006b6c1c546115507e2084c8258bca", 1693381926},
		{"2.1.27", "7cd2737135b7e826d44fa9ceae65c72bd84520b0899bafe7f912cd6bda5385e5", 1693788867},
		{"2.1.28", "a487eef9d3e5a81ef9ff8deb143e61a086bc01196d1dce8ff1a1424aff9e44b3", 1693884985},
	} {
		digest, err := hex.DecodeString(r.digest)
		require.NoError(t, err)
		g.shelf.catalog.Releases = append([]firmware.Release{{
			Version: r.version, Prerelease: true, Time: time.Unix(r.at, 0), Digest: [32]byte(digest),
		}}, g.shelf.catalog.Releases...)
	}
	return g
}

func undocumented(line string, minor int) firmware.Release {
	version := fmt.Sprint(line, ".", minor)
	return firmware.Release{Version: version, Prerelease: true, Time: time.Unix(1690000000, 0), Digest: sha256.Sum256([]byte(version))}
}

// firmwareWorld is what a case happens in.
type firmwareWorld struct {
	firmwareState
	*gadget
	t       *testing.T
	service *firmware.Service
	end     chan struct{} // closed with the test
}

// blocks waits for the end of the test, whatever happens before.
func (w *firmwareWorld) blocks() error {
	<-w.end
	return errors.New("the test is over")
}

// install begins to install what is in the catalog.
func (w *firmwareWorld) install(version string) firmware.Run {
	run, err := w.service.Start(w.t.Context(), firmware.Request{Version: version, AllowDowngrade: true})
	require.NoError(w.t, err)
	return run
}

// check is a check in the background.
func (w *firmwareWorld) check() {
	go func() { _, _ = w.service.Check(w.t.Context()) }()
}

// reached brings the device into each state by what blocks, or fails, outside of
// the Service.
var reached = map[int]func(*firmwareWorld){
	0x1: func(w *firmwareWorld) {
		w.seams.pair = w.blocks
		w.check()
	},
	0x2: func(w *firmwareWorld) {
		w.shelf.get = func(context.Context, string) error { return w.blocks() }
		w.check()
	},
	0x4: func(w *firmwareWorld) {
		w.shelf.body = func(name string, body io.Reader) io.Reader {
			if !strings.HasPrefix(name, "raw-") {
				return body
			}
			return &hesitant{Reader: body, left: w.progress * segmentSize, blocks: w.blocks}
		}
		w.install("2.0.0")
		time.Sleep(10 * time.Second)
	},
	0x8: func(w *firmwareWorld) {
		w.seams.read = func() { _ = w.blocks() }
		w.install("2.0.0")
	},
	0x10: func(w *firmwareWorld) {
		w.seams.activate = w.blocks
		w.install("2.0.0")
	},
	0x20: func(w *firmwareWorld) {
		w.shelf.get = func(_ context.Context, name string) error {
			if strings.HasPrefix(name, "raw-") {
				return w.blocks()
			}
			return nil
		}
		run := w.install("2.0.0")
		synctest.Wait()
		require.NoError(w.t, w.service.Cancel(w.t.Context(), run.ID, firmware.By{}))
	},
	0x40: func(w *firmwareWorld) { w.install("2.0.0") },
	0x100: func(w *firmwareWorld) {
		w.seams.pair = func() error { return errors.New("the boot loader's variables are gone") }
		w.check()
	},
	0x200: func(w *firmwareWorld) { w.install("2.0.1") },
}

// hesitant is a body of which so many bytes come, the last after some seconds,
// in which what came is made durable.
type hesitant struct {
	io.Reader
	left   int
	blocks func() error
}

func (h *hesitant) Read(p []byte) (int, error) {
	switch h.left {
	case 0:
		return 0, h.blocks()
	case 1:
		time.Sleep(3 * time.Second)
	default:
		p = p[:min(len(p), h.left-1)]
	}
	n, err := h.Reader.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// buildFirmware serves a real Service over the engine, in the state of a case,
// in a bubble whose clock shows checkedAt.
func buildFirmware(t *testing.T, db storage.Backend, given []string) (fixture, error) {
	s, err := readFirmwareState(given)
	if err != nil {
		return fixture{}, err
	}
	w := &firmwareWorld{firmwareState: s, gadget: documented(t, db), t: t, end: make(chan struct{})}
	before := w.start(t)
	_, err = before.Check(t.Context())
	require.NoError(t, err)
	require.NoError(t, before.Close())
	w.service = w.start(t)
	t.Cleanup(func() { close(w.end) })
	if reach := reached[s.state]; reach != nil {
		reach(w)
	}
	synctest.Wait()
	c := httpadapter.Config{Firmware: w.service, Logger: quiet}
	if s.secrets != nil {
		c.Auth = s.secrets
	}
	adapter, err := httpadapter.New(c)
	require.NoError(t, err)
	mux := http.NewServeMux()
	adapter.Register(mux)
	return fixture{handler: mux}, nil
}
