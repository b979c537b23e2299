package manifest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// key is a private key that is always the same for a number.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(keys ...ed25519.PrivateKey) (all []ed25519.PublicKey) {
	for _, k := range keys {
		all = append(all, k.Public().(ed25519.PublicKey))
	}
	return all
}

func artifact(os, arch string) manifest.Artifact {
	sum := sha256.Sum256([]byte(os + arch))
	return manifest.Artifact{OS: os, Arch: arch, URL: os + "/" + arch, Size: 7, SHA256: sum[:]}
}

// body is a manifest that is good now.
func body(serial int64) manifest.Manifest {
	return manifest.Manifest{
		Product: "demo/app", Channel: "stable", Serial: serial, Issued: now.Add(-time.Hour), Expires: now.Add(time.Hour),
		Releases: []manifest.Release{
			{Version: "1.0.0", Artifacts: []manifest.Artifact{artifact("linux", "amd64")}},
			{Version: "1.1.0", Minimum: "1.0.0", Time: now, Artifacts: []manifest.Artifact{
				artifact("linux", "amd64"), artifact("darwin", ""), artifact("", ""),
			}},
		},
	}
}

func signed(t *testing.T, m manifest.Manifest, keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	var f manifest.File
	require.NoError(t, f.Sign(m, keys...))
	return encode(t, f)
}

func encode(t *testing.T, f manifest.File) []byte {
	t.Helper()
	text, err := f.Encode()
	require.NoError(t, err)
	return text
}

// sealed is an envelope as anybody can make it who knows DSSE and has the keys.
func sealed(kind, payload string, keys ...ed25519.PrivateKey) manifest.Envelope {
	e := manifest.Envelope{Type: kind, Payload: []byte(payload)}
	message := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
	for _, k := range keys {
		e.Signatures = append(e.Signatures, manifest.Signature{Value: ed25519.Sign(k, []byte(message))})
	}
	return e
}

const (
	typeManifest = "application/vnd.upkeep.manifest.v1+json"
	typeRotation = "application/vnd.upkeep.rotation.v1+json"
)

// raw is a file whose manifest has this payload, well signed.
func raw(t *testing.T, payload string) []byte {
	return encode(t, manifest.File{Manifest: sealed(typeManifest, payload, key(1))})
}

func check(keys ...ed25519.PrivateKey) manifest.Check {
	return manifest.Check{Product: "demo/app", Channel: "stable", Keys: public(keys...), Now: now}
}

// reopen keeps a state and reads it again.
func reopen(t *testing.T, s *manifest.State) *manifest.State {
	t.Helper()
	text, err := s.Encode()
	require.NoError(t, err)
	s, err = manifest.ParseState(text)
	require.NoError(t, err)
	return s
}

func TestAManifestComesBackAsItWasSigned(t *testing.T) {
	m := body(7)
	m.Releases[0].Artifacts[0].Signature = []byte{0, 1, 0xff}
	accepted, err := new(manifest.State).Accept(signed(t, m, key(1)), check(key(1)))
	require.NoError(t, err)
	require.Equal(t, m, accepted)
}

func TestTheSignatureIsThatOfDSSE(t *testing.T) {
	// The example of the DSSE specification, protocol.md, version 1.0.2.
	var f manifest.File
	require.NoError(t, f.Sign(body(1), key(1)))
	e := f.Manifest
	require.Equal(t, typeManifest, e.Type)
	message := fmt.Sprintf("DSSEv1 39 %s %d %s", e.Type, len(e.Payload), e.Payload)
	require.Len(t, e.Signatures, 1)
	require.True(t, ed25519.Verify(public(key(1))[0], []byte(message), e.Signatures[0].Value))

	var wire map[string]map[string]any
	require.NoError(t, json.Unmarshal(encode(t, f), &wire))
	require.Equal(t, base64.StdEncoding.EncodeToString(e.Payload), wire["manifest"]["payload"])
	require.Equal(t, typeManifest, wire["manifest"]["payloadType"])
}

func TestOneTrustedKeyOfSeveralIsEnough(t *testing.T) {
	text := signed(t, body(1), key(1), key(2))
	for _, trusted := range [][]ed25519.PrivateKey{{key(1)}, {key(2)}, {key(3), key(2)}} {
		_, err := new(manifest.State).Accept(text, check(trusted...))
		require.NoError(t, err)
	}
	_, err := new(manifest.State).Accept(text, check(key(3)))
	require.ErrorIs(t, err, manifest.ErrSignature)
}

func TestWhatNoTrustedKeyHasSignedIsRefused(t *testing.T) {
	good := func() manifest.File {
		var f manifest.File
		require.NoError(t, f.Sign(body(1), key(1)))
		return f
	}
	tests := []struct {
		name   string
		change func(*manifest.File)
		err    error
	}{
		{"a changed byte", func(f *manifest.File) { f.Manifest.Payload[20] ^= 1 }, manifest.ErrSignature},
		{"a byte more", func(f *manifest.File) { f.Manifest.Payload = append(f.Manifest.Payload, ' ') }, manifest.ErrSignature},
		{"a changed signature", func(f *manifest.File) { f.Manifest.Signatures[0].Value[3] ^= 1 }, manifest.ErrSignature},
		{"a cut signature", func(f *manifest.File) { f.Manifest.Signatures[0].Value = f.Manifest.Signatures[0].Value[:63] }, manifest.ErrSignature},
		{"no signature", func(f *manifest.File) { f.Manifest.Signatures = nil }, manifest.ErrSignature},
		{"another's key under a trusted name", func(f *manifest.File) {
			id := f.Manifest.Signatures[0].KeyID
			require.NoError(t, f.Sign(body(2), key(9)))
			f.Manifest.Signatures[0].KeyID = id
		}, manifest.ErrSignature},
		{"another type", func(f *manifest.File) { f.Manifest.Type = "application/json" }, manifest.ErrMalformed},
		{"what was signed as another type", func(f *manifest.File) {
			f.Manifest = sealed(typeRotation, string(f.Manifest.Payload), key(1))
			f.Manifest.Type = typeManifest
		}, manifest.ErrSignature},
		{"a rotation for a manifest", func(f *manifest.File) { f.Manifest = sealed(typeRotation, string(f.Manifest.Payload), key(1)) }, manifest.ErrMalformed},
		{"bytes signed without an envelope", func(f *manifest.File) {
			f.Manifest.Signatures[0].Value = ed25519.Sign(key(1), f.Manifest.Payload)
		}, manifest.ErrSignature},
		{"very many signatures", func(f *manifest.File) {
			f.Manifest.Signatures = append(make([]manifest.Signature, 8), f.Manifest.Signatures...)
		}, manifest.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := good()
			tt.change(&f)
			var s manifest.State
			_, err := s.Accept(encode(t, f), check(key(1)))
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, manifest.State{}, s, "nothing is remembered of it")
		})
	}
}

func TestAnOlderManifestIsRefusedAlsoAfterARestart(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(signed(t, body(5), key(1)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)
	before := *s

	_, err = s.Accept(signed(t, body(4), key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed)
	require.ErrorContains(t, err, "serial 4 after 5")
	other := body(5)
	other.Releases = other.Releases[:1]
	_, err = s.Accept(signed(t, other, key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed, "two manifests of one serial")
	require.Equal(t, before, *s)

	_, err = s.Accept(signed(t, body(5), key(1)), check(key(1)))
	require.NoError(t, err, "the same one may come again")
	_, err = s.Accept(signed(t, body(6), key(1)), check(key(1)))
	require.NoError(t, err)
	_, err = s.Accept(signed(t, body(5), key(1)), check(key(1)))
	require.ErrorIs(t, err, manifest.ErrReplayed)
}

func TestTheSameManifestChangesNothingThatIsKept(t *testing.T) {
	s := new(manifest.State)
	beta := body(3)
	beta.Channel = "beta"
	ofBeta := check(key(1))
	ofBeta.Channel = "beta"
	var kept [][]byte
	for range 2 {
		_, err := s.Accept(signed(t, body(5), key(1)), check(key(1)))
		require.NoError(t, err)
		_, err = s.Accept(signed(t, beta, key(1)), ofBeta)
		require.NoError(t, err, "each channel has its own serials")
		text, err := s.Encode()
		require.NoError(t, err)
		kept = append(kept, text)
	}
	require.Equal(t, string(kept[0]), string(kept[1]))
}

func TestAProgramWithoutStateMayKnowALowestSerial(t *testing.T) {
	c := check(key(1))
	c.MinSerial = 6
	s := new(manifest.State)
	_, err := s.Accept(signed(t, body(5), key(1)), c)
	require.ErrorIs(t, err, manifest.ErrReplayed)
	_, err = s.Accept(signed(t, body(6), key(1)), c)
	require.NoError(t, err)
}

func TestAManifestOfSomethingElseIsRefused(t *testing.T) {
	for _, change := range []func(*manifest.Manifest){
		func(m *manifest.Manifest) { m.Product = "demo/other" },
		func(m *manifest.Manifest) { m.Channel = "beta" },
		func(m *manifest.Manifest) { m.Channel = "Stable" },
	} {
		m := body(1)
		change(&m)
		_, err := new(manifest.State).Accept(signed(t, m, key(1)), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrMismatch)
	}
}

func TestAManifestCountsUntilItExpires(t *testing.T) {
	text := signed(t, body(1), key(1))
	tests := []struct {
		name string
		now  time.Time
		err  error
	}{
		{"just before", body(1).Expires.Add(-1), nil},
		{"at that moment", body(1).Expires, manifest.ErrExpired},
		{"a year later", now.AddDate(1, 0, 0), manifest.ErrExpired},
		{"a clock that is a little behind", now.Add(-20 * time.Hour), nil},
		{"a clock that is a year behind", now.AddDate(-1, 0, 0), manifest.ErrClock},
		{"a clock that was never set", time.Unix(0, 0), manifest.ErrClock},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := check(key(1)), manifest.State{}
			c.Now = tt.now
			_, err := s.Accept(text, c)
			require.ErrorIs(t, err, tt.err)
			if tt.err != nil {
				require.Equal(t, manifest.State{}, s)
			}
		})
	}
}

// What was expired long ago would be good again for a clock that is behind; but
// the clock cannot be before what was seen to be signed.
func TestAClockBehindWhatWasSeenIsNotBelieved(t *testing.T) {
	s := new(manifest.State)
	_, err := s.Accept(signed(t, body(5), key(1)), check(key(1)))
	require.NoError(t, err)
	s = reopen(t, s)

	old := body(9)
	old.Issued, old.Expires = now.AddDate(-1, 0, -1), now.AddDate(-1, 0, 1)
	c := check(key(1))
	c.Now = now.AddDate(-1, 0, 0)
	_, err = s.Accept(signed(t, old, key(1)), c)
	require.ErrorIs(t, err, manifest.ErrClock)
	require.ErrorContains(t, err, "it says 2025-05-01T12:00:00Z, and something was signed at 2026-05-01T11:00:00Z")
}

func TestTheMostExactArtifactIsForASystem(t *testing.T) {
	r := body(1).Releases[1]
	for _, tt := range [][3]string{
		{"linux", "amd64", "linux/amd64"}, {"darwin", "arm64", "darwin/"}, {"linux", "arm64", "/"}, {"plan9", "386", "/"},
	} {
		a, ok := r.For(tt[0], tt[1])
		require.True(t, ok)
		require.Equal(t, tt[2], a.URL)
	}
	_, ok := body(1).Releases[0].For("linux", "arm64")
	require.False(t, ok)
}

func TestAManifestThatBreaksTheRulesIsNeitherSignedNorAccepted(t *testing.T) {
	for what, change := range map[string]func(*manifest.Manifest){
		"no product":               func(m *manifest.Manifest) { m.Product = "" },
		"a product with a newline": func(m *manifest.Manifest) { m.Product = "demo\nERROR" },
		"a long product":           func(m *manifest.Manifest) { m.Product = strings.Repeat("a", 257) },
		"no channel":               func(m *manifest.Manifest) { m.Channel = "" },
		"a channel with a space":   func(m *manifest.Manifest) { m.Channel = "stable " },
		"serial 0":                 func(m *manifest.Manifest) { m.Serial = 0 },
		"a serial below 0":         func(m *manifest.Manifest) { m.Serial = -1 },
		"no time":                  func(m *manifest.Manifest) { m.Issued = time.Time{} },
		"it never counts":          func(m *manifest.Manifest) { m.Expires = m.Issued },
		"no version":               func(m *manifest.Manifest) { m.Releases[0].Version = "" },
		"latest":                   func(m *manifest.Manifest) { m.Releases[0].Version = "latest" },
		"a version twice":          func(m *manifest.Manifest) { m.Releases[0].Version = "v1.1" },
		"a minimum that is none":   func(m *manifest.Manifest) { m.Releases[0].Minimum = ">=1" },
		"no artifact":              func(m *manifest.Manifest) { m.Releases[0].Artifacts = nil },
		"two for a system": func(m *manifest.Manifest) {
			m.Releases[0].Artifacts = append(m.Releases[0].Artifacts, artifact("linux", "amd64"))
		},
		"an architecture of no system": func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].OS = "" },
		"no URL":                       func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].URL = "" },
		"a URL that is none":           func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].URL = "http://[" },
		"a URL with a password":        func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].URL = "https://a:b@example.com/" },
		"a long URL":                   func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].URL = strings.Repeat("a", 2049) },
		"a mail":                       func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].URL = "mailto:a" },
		"no size":                      func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].Size = 0 },
		"a size below 0":               func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].Size = -1 },
		"no digest":                    func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].SHA256 = nil },
		"a short digest":               func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].SHA256 = make([]byte, 20) },
		"a long signature":             func(m *manifest.Manifest) { m.Releases[0].Artifacts[0].Signature = make([]byte, 4097) },
	} {
		m := body(1)
		change(&m)
		var f manifest.File
		require.ErrorIs(t, f.Sign(m, key(1)), manifest.ErrMalformed, what)
		payload, err := json.Marshal(m)
		require.NoError(t, err)
		_, err = new(manifest.State).Accept(raw(t, string(payload)), check(key(1)))
		require.ErrorIs(t, err, manifest.ErrMalformed, what)
	}
}

func TestAnEmptyManifestWithdrawsEverything(t *testing.T) {
	m := body(1)
	m.Releases = nil
	accepted, err := new(manifest.State).Accept(signed(t, m, key(1)), check(key(1)))
	require.NoError(t, err)
	require.Empty(t, accepted.Releases)
}
