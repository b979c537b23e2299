package signed_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/signed"
)

const kind = "application/test"

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func private(numbers ...byte) (keys []ed25519.PrivateKey) {
	for _, n := range numbers {
		keys = append(keys, key(n))
	}
	return keys
}

func public(numbers ...byte) (keys []ed25519.PublicKey) {
	for _, n := range numbers {
		keys = append(keys, key(n).Public().(ed25519.PublicKey))
	}
	return keys
}

func TestAThresholdIsOfDifferentKeys(t *testing.T) {
	for _, tt := range []struct {
		by, trusted []byte
		threshold   int
		opens       bool
	}{
		{[]byte{1}, []byte{1}, 0, true},
		{[]byte{1}, []byte{2, 1}, 1, true},
		{[]byte{3}, []byte{2, 1}, 1, false},
		{[]byte{1, 2}, []byte{1, 2, 3}, 2, true},
		{[]byte{3, 9, 1}, []byte{1, 2, 3}, 2, true},
		{[]byte{1}, []byte{1, 2, 3}, 2, false},
		{[]byte{1, 1, 1}, []byte{1, 2, 3}, 2, false},
		{[]byte{1, 9, 8}, []byte{1, 2, 3}, 2, false},
		{[]byte{1}, []byte{1, 1}, 2, false}, // one key that is trusted twice
		{[]byte{1, 1}, []byte{1, 1}, 2, false},
		{[]byte{1, 2}, []byte{1, 2}, 3, false},
		{[]byte{1}, nil, 0, false},
	} {
		e, err := signed.Seal(kind, []byte("payload"), private(tt.by...)...)
		require.NoError(t, err)
		for i := range e.Signatures { // what a signature says of itself does not matter
			e.Signatures[i].KeyID = signed.KeyID(public(byte(i + 1))[0])
		}
		payload, err := e.Open(kind, public(tt.trusted...), tt.threshold)
		if tt.opens {
			require.NoError(t, err, "%+v", tt)
			require.Equal(t, "payload", string(payload))
			continue
		}
		require.ErrorIs(t, err, signed.ErrSignature, "%+v", tt)
		require.Nil(t, payload)
	}
}

func TestAKeyThatIsNoneOpensNothing(t *testing.T) {
	e, err := signed.Seal(kind, nil, key(1))
	require.NoError(t, err)
	e.Signatures[0].Value = make([]byte, ed25519.SignatureSize) // what zeros take for good, of some payloads
	for _, none := range []ed25519.PublicKey{nil, {1}, make(ed25519.PublicKey, ed25519.PublicKeySize)} {
		for n := range 64 {
			e.Payload = bytes.Repeat([]byte{1}, n)
			_, err = e.Open(kind, []ed25519.PublicKey{none}, 1)
			require.ErrorIs(t, err, signed.ErrSignature)
		}
	}
}

// FuzzOpen changes an envelope that one key has signed, in any way.
func FuzzOpen(f *testing.F) {
	good, err := signed.Seal(kind, []byte(`{"serial":1}`), key(1))
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.Replace(text, []byte(`"signatures":[`), []byte(`"signatures":[{},`), 1))
	f.Add([]byte(`{"payloadType":"application/test","signatures":[{"sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e signed.Envelope
		if err := signed.Decode(text, &e); err != nil {
			require.ErrorIs(t, err, signed.ErrMalformed)
			return
		}
		if payload, err := e.Open(kind, public(1), 1); err == nil {
			require.Equal(t, good.Payload, payload, "the one that was signed")
			require.Equal(t, kind, e.Type)
		}
		for _, trusted := range [][]byte{{2}, {}} {
			_, err := e.Open(e.Type, public(trusted...), 1)
			require.Error(t, err)
		}
		_, err := e.Open(kind, public(1, 2, 1), 2)
		require.Error(t, err, "the other key has never signed")
	})
}
