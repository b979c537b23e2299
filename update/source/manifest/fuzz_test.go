package manifest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// What a fuzzer does to a file, its signature notices.
func FuzzAccept(f *testing.F) {
	seal := sealed(typeManifest, `{"product":"demo/app"}`, key(1))
	text, err := json.Marshal(manifest.File{Manifest: seal})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"rotations":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := manifest.Parse(text)
		if err != nil {
			return
		}
		again, err := manifest.Parse(encode(t, parsed))
		require.NoError(t, err)
		require.Equal(t, encode(t, parsed), encode(t, again))
		_, _ = parsed.NextSerial(manifest.Trust{}, time.Time{})
		var s manifest.State
		_, err = s.Accept(text, check(key(2)))
		require.Error(t, err, "nobody has the key")
		require.Equal(t, manifest.State{}, s)
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"product":"a","channel":"b","serial":1,"issued":"2026-05-01T12:00:00Z","expires":"2026-05-02T12:00:00Z"}`))
	f.Add([]byte(`{"product":"a","channel":"b","serial":1,"issued":"2026-05-01T12:00:00Z","expires":"2026-05-02T12:00:00Z","critical":["x"],
		"releases":[{"version":"1","minimum":"1","artifacts":[{"os":"c","url":"d","size":1,
		"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := manifest.DecodeManifest(payload)
		if err != nil {
			return
		}
		require.Positive(t, m.Serial)
		require.True(t, m.Issued.Before(m.Expires))
		for _, r := range m.Releases {
			require.NotEmpty(t, r.Artifacts)
			for _, a := range r.Artifacts {
				require.Len(t, a.SHA256, 32)
				require.Positive(t, a.Size)
			}
		}
		again, err := json.Marshal(m)
		require.NoError(t, err)
		same, err := manifest.DecodeManifest(again)
		require.NoError(t, err, "what is accepted can be signed again")
		require.Equal(t, len(m.Releases), len(same.Releases))
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"format":1,"seen":[{"product":"demo/app","channel":"stable","serial":3,"sha256":"00","issued":"2026-05-01T12:00:00Z"}],
		"trust":[{"product":"demo/app","built":"00","serial":3,"keys":["AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}]}`))
	f.Fuzz(func(t *testing.T, kept []byte) {
		s, err := manifest.ParseState(kept)
		if err != nil {
			return
		}
		text, err := s.Encode()
		require.NoError(t, err)
		same, err := reopen(t, s).Encode()
		require.NoError(t, err)
		require.Equal(t, string(text), string(same))
	})
}
