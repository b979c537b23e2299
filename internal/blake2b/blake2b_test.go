package blake2b_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/blake2b"
)

func TestTheSumOfTheRFC(t *testing.T) {
	h := blake2b.New()
	h.Write([]byte("abc"))
	require.Equal(t, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"+
		"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923", hex.EncodeToString(h.Sum(nil)))
}

// sums are those of another implementation (Python's hashlib) for texts whose
// byte i of n is (7i+n) mod 251.
var sums = map[int]string{
	0:      "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
	1:      "9545ba37b230d8a2e716c4707586542780815b7c4088edcb9af6a9452d50f32474d5ba9aab52a67aca864ef2696981c2eadf49020416136afd838fb048d21653",
	127:    "323e7e994792110254de6d0a09e35bb0393777e7fe4c048b508be7ef50d89ff833888e43557969375f3ec545302b756d4491af29ceac0b7022705e87194ad0cc",
	128:    "295c8b6822d067d86ab3e26dad8e389d6595fb8f3336c99955b41ef8931d4fccba0ebbbc1f17cbc308e910bbe743c6b861c54f28481802e825e354f2e44fc988",
	129:    "e81c567c38b4ccb7a2cccb31417cd1808e14ab3c8f30489717f4f1a6442f8378b124ffea72dae64c968ed5e42e4acea01b1891dd0ed002b37ff466bad956199d",
	255:    "1c50fbe459271b8a96b0b8b006ef58a2b4643d87f8c41c0592bc809556755c9aa197ce8ce2e38201b93c5a95e8f2f1f238af42c613a599a64f4c47825aa2b3a6",
	256:    "a8a3f54b51898b22a8dc54eeb4076f5375fabfd9bbfa43f5a61d086bd2362e4ee559201ed0940480b3c1fb63066fa537d1fc3c8394d762b3fc5c69fd3e412996",
	257:    "a62d411c0dd2edbc2a8baaef9be4e0383a78df1bab67b61705fa2ae47e083df9a41a9d31bf0c4a6a09f322c13813b600bff9bceeb8f5573975e93df454df7580",
	100003: "62a9b36e0cf73c5c18975fb25f86b0b9de17cf5c2fcfadd2e061dad6680752165c6f644c62e1beff20081023df27ff47ccc12155e8e8921b0cc856ca64ce22f2",
}

func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((7*i + n) % 251)
	}
	return p
}

func TestTheSumDoesNotDependOnHowATextIsWritten(t *testing.T) {
	for n, want := range sums {
		for _, piece := range []int{1, 3, 64, 127, 128, 129, 1000, 1 << 20} {
			t.Run(fmt.Sprintf("%d bytes by %d", n, piece), func(t *testing.T) {
				h := blake2b.New()
				for rest := text(n); len(rest) > 0; {
					k := min(piece, len(rest))
					written, err := h.Write(rest[:k])
					require.NoError(t, err)
					require.Equal(t, k, written)
					rest = rest[k:]
				}
				require.Equal(t, want, hex.EncodeToString(h.Sum(nil)))
				require.Equal(t, want, hex.EncodeToString(h.Sum(nil)), "a sum may be asked for twice")
			})
		}
	}
}

func TestAHashMayGoOnAfterASum(t *testing.T) {
	h := blake2b.New()
	h.Write(text(257)[:100])
	require.Equal(t, []byte("prefix"), h.Sum([]byte("prefix"))[:6])
	h.Write(text(257)[100:])
	require.Equal(t, sums[257], hex.EncodeToString(h.Sum(nil)))
	h.Reset()
	require.Equal(t, sums[0], hex.EncodeToString(h.Sum(nil)))
	require.Equal(t, 64, h.Size())
	require.Equal(t, 128, h.BlockSize())
}

func BenchmarkBLAKE2b(b *testing.B) {
	p := text(1 << 20)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		h := blake2b.New()
		h.Write(p)
		h.Sum(nil)
	}
}
