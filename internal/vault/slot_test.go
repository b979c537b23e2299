package vault_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
)

func quickSlot(t testing.TB, k *vault.Keys, passphrase, name string) []byte {
	t.Helper()
	slot, err := k.QuickSlot(passphrase, name)
	require.NoError(t, err)
	return slot
}

func TestASlotOpensByItsPassphrase(t *testing.T) {
	k := rotated(t, vault.NewKeys())
	slot, err := k.Slot("correct horse", "Ann's laptop")
	require.NoError(t, err)
	got, err := vault.OpenSlot(slot, "correct horse")
	require.NoError(t, err)
	require.True(t, k.Equal(got))
	require.Equal(t, uint32(19<<10), binary.BigEndian.Uint32(slot[4:]), "KiB")
	require.Equal(t, []byte{0, 0, 0, 2, 1}, slot[8:13], "passes and threads")
	_, err = vault.OpenSlot(slot, "correct horse ")
	require.ErrorIs(t, err, vault.ErrPassphrase)
}

func TestAPassphraseIsBytes(t *testing.T) {
	k := vault.NewKeys()
	for _, passphrase := range []string{"a", "\x00", "\xff\xfe", "é", "e\u0301", strings.Repeat("long", 1_000)} {
		slot := quickSlot(t, k, passphrase, "")
		got, err := vault.OpenSlot(slot, passphrase)
		require.NoError(t, err)
		require.True(t, k.Equal(got))
		for _, wrong := range []string{"", "b", passphrase + "\x00", strings.ToUpper(passphrase) + " "} {
			_, err = vault.OpenSlot(slot, wrong)
			require.ErrorIs(t, err, vault.ErrPassphrase)
			require.NotErrorIs(t, err, vault.ErrCorrupt)
		}
	}
	_, err := vault.OpenSlot(quickSlot(t, k, "é", ""), "e\u0301")
	require.ErrorIs(t, err, vault.ErrPassphrase)
}

func TestASlotHoldsAllKeysThatThereMayBe(t *testing.T) {
	k := vault.NewKeys()
	for k.Epoch() < 255 {
		k = rotated(t, k)
	}
	got, err := vault.OpenSlot(quickSlot(t, k, "pass", "name"), "pass")
	require.NoError(t, err)
	require.True(t, k.Equal(got))
}

func TestAnEmptyPassphraseIsNone(t *testing.T) {
	_, err := vault.NewKeys().Slot("", "name")
	require.ErrorIs(t, err, vault.ErrPassphrase)
}

func TestTheNameOfASlotIsForThoseWhoHaveTheKeys(t *testing.T) {
	k := vault.NewKeys()
	later := rotated(t, k)
	for _, name := range []string{"", "Ann", strings.Repeat("x", 255)} {
		slot := quickSlot(t, k, "pass", name)
		for _, keys := range []*vault.Keys{k, later} {
			got, err := keys.SlotName(slot)
			require.NoError(t, err)
			require.Equal(t, name, got)
		}
		_, err := vault.NewKeys().SlotName(slot)
		require.ErrorIs(t, err, vault.ErrCorrupt)
		require.False(t, name != "" && bytes.Contains(slot, []byte(name)))
		_, err = k.SlotName(quickSlot(t, later, "pass", name))
		require.ErrorIs(t, err, vault.ErrEpoch)
	}
	_, err := k.QuickSlot("pass", strings.Repeat("x", 256))
	require.ErrorContains(t, err, "256 bytes")
	_, err = k.SlotName([]byte("ups\x01"))
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func TestTwoSlotsOfOnePassphraseHaveNothingInCommon(t *testing.T) {
	k := vault.NewKeys()
	a, b := quickSlot(t, k, "pass", "name"), quickSlot(t, k, "pass", "name")
	for _, part := range [][2]int{{13, 13 + 16 + 32}, {13 + 16 + 32 + 2 + 8, len(a)}} { // not what it costs, nor how the name begins
		for n := part[0]; n+8 <= part[1]; n++ {
			require.NotEqual(t, a[n:n+8], b[n:n+8], n)
		}
	}
}

func TestADamagedSlotIsNoWrongPassphrase(t *testing.T) {
	k := vault.NewKeys()
	damaged(quickSlot(t, k, "pass", "name"), func(bad []byte, how string) {
		got, err := vault.OpenSlot(bad, "pass")
		require.ErrorIs(t, err, vault.ErrCorrupt, how)
		require.NotErrorIs(t, err, vault.ErrPassphrase, how)
		require.Nil(t, got)
		_, err = k.SlotName(bad)
		require.ErrorIs(t, err, vault.ErrCorrupt, how)
	})
}

// TestAForgedSlotDoesNotOpen: whoever changes a slot on purpose makes its sum
// right.
func TestAForgedSlotDoesNotOpen(t *testing.T) {
	k := vault.NewKeys()
	good := quickSlot(t, k, "pass", "name")
	damaged(good, func(bad []byte, how string) {
		bad, kib := vault.Resum(bad)
		if kib > 1<<12 || bytes.Equal(good, bad) {
			return
		}
		got, err := vault.OpenSlot(bad, "pass")
		require.Error(t, err, how)
		require.Nil(t, got)
		if name, err := k.SlotName(bad); err == nil {
			require.Equal(t, "name", name)
		}
	})

	other := quickSlot(t, k, "pass", "mane") // whose name is as long
	for n, part := range map[string][2]int{"salt": {13, 29}, "check": {29, 61}, "name": {63, len(good) - 32 - 65}, "keys": {len(good) - 32 - 65, len(good) - 32}} {
		bad := bytes.Clone(good)
		copy(bad[part[0]:part[1]], other[part[0]:])
		bad, _ = vault.Resum(bad)
		_, err := vault.OpenSlot(bad, "pass")
		require.Error(t, err, "the %s of another slot", n)
		name, err := k.SlotName(bad)
		if n == "salt" || n == "name" {
			require.ErrorIs(t, err, vault.ErrCorrupt, "a name is one of its slot")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "name", name)
	}
}

func TestWhatASlotMayCost(t *testing.T) {
	good := quickSlot(t, vault.NewKeys(), "pass", "name")
	for _, tt := range []struct {
		memory, passes uint32
		threads        byte
		allowed        bool
	}{
		{8, 1, 1, true}, {8 * 16, 16, 16, true}, {1 << 20, 16, 16, true},
		{1<<20 + 1, 1, 1, false}, {1<<32 - 1, 1, 1, false}, {8, 17, 1, false}, {8, 1<<32 - 1, 1, false},
		{1 << 10, 1, 17, false}, {1 << 10, 1, 255, false}, {7, 1, 1, false}, {8*16 - 1, 1, 16, false},
		{0, 1, 1, false}, {8, 0, 1, false}, {8, 1, 0, false}, {0, 0, 0, false},
	} {
		bad := bytes.Clone(good)
		binary.BigEndian.PutUint32(bad[4:], tt.memory)
		binary.BigEndian.PutUint32(bad[8:], tt.passes)
		bad[12] = tt.threads
		bad, kib := vault.Resum(bad)
		require.Equal(t, tt.allowed, kib > 0, "%+v", tt)
		if !tt.allowed {
			_, err := vault.OpenSlot(bad, "pass")
			require.ErrorIs(t, err, vault.ErrCorrupt, "%+v", tt)
		}
	}
	_, err := vault.OpenSlot(make([]byte, 1<<20), "pass")
	require.ErrorIs(t, err, vault.ErrCorrupt)
}

func FuzzOpenSlot(f *testing.F) {
	k := vault.NewKeysFrom(drawn()) // the same in every process of a fuzzer
	good := quickSlot(f, k, "pass", "name")
	f.Add(good)
	f.Add(good[:100])
	f.Fuzz(func(t *testing.T, slot []byte) {
		slot, kib := vault.Resum(slot)
		if kib > 1<<10 {
			return // it would be opened, and take long
		}
		got, err := vault.OpenSlot(slot, "pass")
		if err == nil {
			require.Equal(t, good, slot)
			require.True(t, k.Equal(got))
		}
		if name, err := k.SlotName(slot); err == nil {
			require.Equal(t, "name", name)
		}
	})
}
