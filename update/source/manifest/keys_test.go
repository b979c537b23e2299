package manifest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func TestKeysComeBackAsTheyWere(t *testing.T) {
	text, err := manifest.FormatPrivateKey(key(1))
	require.NoError(t, err)
	private, err := manifest.ParsePrivateKey(append(text, "\n\n"...))
	require.NoError(t, err)
	require.Equal(t, key(1), private)

	line := manifest.FormatPublicKey(public(key(1))[0])
	got, err := manifest.ParsePublicKey(" " + line + "\r\n")
	require.NoError(t, err)
	require.Equal(t, public(key(1))[0], got)
	require.Len(t, manifest.KeyID(got), 16)
	require.NotEqual(t, manifest.KeyID(got), manifest.KeyID(public(key(2))[0]))
}

func TestAKeyOfOpenSSLIsRead(t *testing.T) {
	// openssl genpkey -algorithm ed25519; the key of RFC 8410, section 10.3.
	private, err := manifest.ParsePrivateKey([]byte("-----BEGIN PRIVATE KEY-----\n" +
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"))
	require.NoError(t, err)
	require.Equal(t, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", manifest.FormatPublicKey(public(private)[0]))
}

func TestTextsThatAreNoKeysAreRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{"", "x", "AAAA", strings.Repeat("A", 100), "-----BEGIN PUBLIC KEY-----"} {
		_, err := manifest.ParsePublicKey(text)
		require.Error(t, err, text)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(other)
	require.NoError(t, err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good, err := manifest.FormatPrivateKey(key(1))
	require.NoError(t, err)
	for what, text := range map[string]string{
		"nothing":          "",
		"no PEM":           "verysecret",
		"another kind":     block("PUBLIC KEY", der),
		"no key":           block("PRIVATE KEY", []byte("verysecret")),
		"a key of another": block("PRIVATE KEY", der),
		"two keys":         string(good) + string(good),
	} {
		_, err := manifest.ParsePrivateKey([]byte(text))
		require.Error(t, err, what)
		require.NotContains(t, err.Error(), "verysecret", what)
	}
}
