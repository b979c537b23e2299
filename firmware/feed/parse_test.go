package feed_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// privateText is the key of RFC 8410, section 10.3.
const privateText = "-----BEGIN PRIVATE KEY-----\n" +
	"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"

func TestAKeyThatIsNoneIsInvalid(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":     "",
		"other text":  "upkeep.pub",
		"too short":   base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"two of them": strings.Repeat(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n", 2),
	} {
		_, err := feed.ParsePublicKey(text)
		require.ErrorIs(t, err, firmware.ErrInvalid, what)
		require.ErrorContains(t, err, "is not a public key: want 32 bytes in base64", what)
	}
	_, err := feed.ParsePrivateKey([]byte("upkeep.key"))
	require.ErrorIs(t, err, firmware.ErrInvalid)
}

func TestAPrivateKeyInThePlaceOfAPublicOneIsNotRepeated(t *testing.T) {
	_, err := feed.ParsePublicKey(privateText)
	require.ErrorIs(t, err, firmware.ErrInvalid)
	assert.ErrorContains(t, err, "this is a private key")
	assert.NotContains(t, err.Error(), "MC4CAQ")

	private, err := feed.ParsePrivateKey([]byte(privateText))
	require.NoError(t, err)
	assert.Len(t, private, 64)
}
