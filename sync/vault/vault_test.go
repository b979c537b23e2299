package vault_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

func TestAPassphraseOpensWhatItLocked(t *testing.T) {
	v := vault.New("correct horse")
	keys := v.Draw()
	slot, err := v.Lock(keys, "laptop", "")
	require.NoError(t, err)
	again, err := v.Unlock(slot)
	require.NoError(t, err)
	require.Equal(t, keys.Repository(), again.Repository())
	object := keys.Seal(cloudsync.ObjectHead, "heads/1", []byte("content"))
	content, err := again.Open(cloudsync.ObjectHead, "heads/1", object, 100)
	require.NoError(t, err)
	require.Equal(t, "content", string(content))
	name, err := v.Name(again, slot)
	require.NoError(t, err)
	require.Equal(t, "laptop", name)
	kept, err := v.Load(keys.Bytes())
	require.NoError(t, err)
	require.Equal(t, keys.ChunkSeed(), kept.ChunkSeed())

	_, err = vault.New("wrong horse").Unlock(slot)
	require.ErrorIs(t, err, cloudsync.ErrPassphrase)
	_, err = vault.New("").Unlock(slot)
	require.ErrorIs(t, err, cloudsync.ErrPassphrase)
	_, err = vault.New("").Lock(keys, "laptop", "")
	require.ErrorIs(t, err, cloudsync.ErrPassphrase)
	_, err = v.Unlock([]byte("no slot"))
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	_, err = v.Name(v.Draw(), slot)
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	_, err = v.Load([]byte("no keys"))
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
	_, err = again.Open(cloudsync.ObjectHead, "heads/2", object, 100)
	require.ErrorIs(t, err, cloudsync.ErrCorrupt)
}

func TestSecretsAreInNoLog(t *testing.T) {
	v := vault.New("correct horse")
	keys := v.Draw()
	for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v %#v", v, v), fmt.Sprintf("%+v", keys), fmt.Sprintf("%#v", keys), fmt.Sprintf("%x", keys)} {
		require.NotContains(t, text, "horse")
		require.NotContains(t, text, fmt.Sprintf("%x", keys.Bytes()))
		require.NotContains(t, text, string(keys.Bytes()))
	}
}
