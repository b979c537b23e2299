package traffic

// Eight bytes are looked at at a time. Where none is above 0x7f, the highest bits
// of w + (0x80-c)*ones are set for those that are at least c.
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	golden = 0x9e3779b97f4a7c15 // bits of the golden ratio
)

// word returns the first 8 bytes, the first the lowest, in one load where the
// machine has them so.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// short returns fewer than 8 bytes as word does.
func short(s string) (w uint64) {
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	return w
}

// differ sets the highest bits of the bytes that are not c, if none is above 0x7f.
func differ(w uint64, c byte) uint64 { return w ^ uint64(c)*ones + 0x7f*ones }
