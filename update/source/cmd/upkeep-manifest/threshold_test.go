package main

import (
	"crypto/ed25519"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func public(s *shop, names ...string) (keys []ed25519.PublicKey) {
	for _, name := range names {
		keys = append(keys, s.key(name+".pub"))
	}
	return keys
}

// newTrio is a shop whose programs take two of the keys a, b and c.
func newTrio(t *testing.T) *shop {
	s := newShop(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.must("keygen", "-key", name+".key")
	}
	s.write("app-linux-amd64", "one")
	s.must("add", "-threshold", "2", "-key", "a.key", "-key", "b.key", "-product", "demo/app", "-version", "1.0.0", "app-linux-amd64")
	return s
}

func TestWhatProgramsWouldRefuseIsNotSigned(t *testing.T) {
	s := newTrio(t)
	before := s.read("manifest.json")
	refused := "1 key signs, and programs take 2"
	s.fails(1, refused, "renew", "-threshold", "2", "-key", "a.key")
	s.fails(1, refused, "renew", "-threshold", "2", "-key", "a.key", "-key", "a.key")
	s.fails(1, refused, "rotate", "-threshold", "2", "-key", "a.key", "-next", "d.key", "-next", "e.key")
	s.fails(1, "2 of 1 keys", "rotate", "-threshold", "2", "-key", "a.key", "-key", "b.key", "-next", "d.key")
	s.fails(1, refused, "rotate", "-threshold", "2", "-key", "a.key", "-key", "b.key", "-next", "d.key", "-next", "e.pub")
	s.fails(1, "-threshold must be 1 at least", "renew", "-threshold", "-1", "-key", "a.key")
	s.fails(1, "-next-threshold", "rotate", "-key", "a.key", "-next", "d.key", "-next-threshold", "-1")
	s.fails(1, refused, "add", "-threshold", "2", "-key", "a.key", "-manifest", "new.json", "-product", "demo/app", "-version", "1.0.0", "app-linux-amd64")
	require.Equal(t, before, s.read("manifest.json"))
	require.NoFileExists(t, s.path("new.json"))
}

func TestARotationKeepsTheThresholdUnlessItIsToldAnother(t *testing.T) {
	s := newTrio(t)
	s.must("rotate", "-threshold", "2", "-key", "a.key", "-key", "b.key", "-next", "a.key", "-next", "d.key", "-next", "e.pub")
	for _, pubs := range [][]string{{"-threshold", "2", "-pub", "a.pub", "-pub", "b.pub", "-pub", "c.pub"}, {"-pub", "a.pub", "-pub", "d.pub", "-pub", "e.pub"}} {
		require.Contains(t, s.must(append([]string{"verify"}, pubs...)...), "takes:   2 of these keys\n")
	}
	s.fails(1, "1 key signs, and programs take 2", "renew", "-key", "d.key")
	s.fails(1, "-pub missing?", "renew", "-key", "d.key", "-key", "e.key") // it was signed with a and d
	s.must("renew", "-key", "d.key", "-key", "e.key", "-pub", "a.pub")
	two := manifest.Source{
		URL: "file://" + filepath.ToSlash(s.path("manifest.json")), Threshold: 2, OS: "linux", Arch: "amd64",
		Keys: public(s, "a", "b", "c"), State: manifest.StateFile(filepath.Join(t.TempDir(), "state")),
	}
	for _, err := range two.Versions(t.Context(), "demo/app") {
		require.NoError(t, err)
	}

	s.must("rotate", "-key", "d.key", "-key", "e.key", "-next", "d.key", "-next-threshold", "1")
	s.must("renew", "-key", "d.key")
	require.Contains(t, s.must("verify", "-pub", "d.pub"), "takes:   1 of these keys\n")
}

func TestVerifySaysThatTooFewHaveSigned(t *testing.T) {
	s := newTrio(t)
	all := []string{"-pub", "a.pub", "-pub", "b.pub", "-pub", "c.pub"}
	s.must("renew", "-key", "a.key") // which nobody has told how many it takes
	s.must(append([]string{"verify"}, all...)...)
	s.fails(1, "by 1 of the 2", append([]string{"verify", "-threshold", "2"}, all...)...)

	s = newTrio(t)
	s.must("rotate", "-threshold", "2", "-key", "a.key", "-key", "b.key", "-next", "d.key", "-next", "e.key")
	f, err := manifest.Parse([]byte(s.read("manifest.json")))
	require.NoError(t, err)
	f.Manifest.Signatures = f.Manifest.Signatures[:1]
	text, err := f.Encode()
	require.NoError(t, err)
	s.write("manifest.json", string(text))
	s.fails(1, "by 1 of the 2", "verify", "-pub", "d.pub", "-pub", "e.pub")
	s.fails(1, "by 1 of the 2", "verify", "-pub", "d.pub")
}

// Programs take two signatures, and of the keys one is stolen: what the thief has
// written is not to get the second one by a routine of those who have both.
func TestWhatOneKeyHasWrittenGetsNoSecondSignature(t *testing.T) {
	for name, writes := range map[string]func(s *shop){
		"a version": func(*shop) {},
		"a rotation": func(s *shop) {
			f, err := manifest.Parse([]byte(s.read("manifest.json")))
			require.NoError(t, err)
			stolen, err := manifest.ParsePrivateKey([]byte(s.read("a.key")))
			require.NoError(t, err)
			require.NoError(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: 1, Keys: public(s, "a", "b"), Threshold: 1}, stolen))
			text, err := f.Encode()
			require.NoError(t, err)
			s.write("manifest.json", string(text))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTrio(t)
			writes(s)
			s.write("bad-linux-amd64", "bad")
			s.must("add", "-threshold", "1", "-key", "a.key", "-version", "9.9.9", "bad-linux-amd64")
			before := s.read("manifest.json")
			for _, command := range [][]string{{"renew"}, {"remove", "-version", "1.0.0"}, {"rotate", "-next", "d.key", "-next", "e.key"}} {
				both := append(command, "-key", "a.key", "-key", "b.key")
				s.fails(1, "by 1 of the 2", both...)
				s.fails(1, "by 1 of the 2", append(both, "-threshold", "2", "-pub", "c.pub")...)
			}
			require.Equal(t, before, s.read("manifest.json"))
		})
	}
}

func TestAThresholdThatARotationLoweredCounts(t *testing.T) {
	s := newTrio(t)
	s.must("rotate", "-key", "a.key", "-key", "b.key", "-next", "a.key", "-next", "b.key", "-next-threshold", "1")
	s.must("renew", "-key", "a.key")
	s.must("renew", "-key", "a.key", "-key", "b.key")
}

func TestAThresholdThatARotationRaisedIsFollowed(t *testing.T) {
	s := newTrio(t)
	s.must("add", "-key", "a.key", "-manifest", "one.json", "-product", "demo/app", "-version", "1.0.0", "app-linux-amd64")
	s.must("rotate", "-key", "a.key", "-manifest", "one.json", "-next", "a.key", "-next", "b.key", "-next-threshold", "2")
	require.Contains(t, s.must("verify", "-manifest", "one.json", "-pub", "a.pub"), "takes:   2 of these keys\n")
	s.fails(1, "1 key signs, and programs take 2", "renew", "-key", "a.key", "-manifest", "one.json")
	s.must("renew", "-key", "a.key", "-key", "b.key", "-manifest", "one.json")
}

func TestAThiefsRotationDoesNotStopTheNext(t *testing.T) {
	s := newTrio(t)
	f, err := manifest.Parse([]byte(s.read("manifest.json")))
	require.NoError(t, err)
	thief, err := manifest.ParsePrivateKey([]byte(s.read("e.key")))
	require.NoError(t, err)
	require.NoError(t, f.Rotate(manifest.Rotation{Product: "demo/app", Serial: math.MaxInt64 - 1, Keys: public(s, "e")}, thief))
	text, err := f.Encode()
	require.NoError(t, err)
	s.write("manifest.json", string(text))
	s.must("rotate", "-key", "a.key", "-key", "b.key", "-next", "c.key", "-next", "d.key")
	s.must("renew", "-key", "c.key", "-key", "d.key")
	require.Contains(t, s.must("verify", "-threshold", "2", "-pub", "a.pub", "-pub", "b.pub"), manifest.KeyID(s.key("d.pub")))
}
