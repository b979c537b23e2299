package traffic

import (
	"crypto/rand"
	"math/bits"
	"net/http"
)

// visitor returns what tells the visitor from others, and again if it is new.
func (t *table) visitor(r *http.Request) (key, first string) {
	sticky := t.Split.Sticky
	if sticky.Header != "" {
		return header(r, sticky.Header), ""
	}
	lines := r.Header["Cookie"]
	if !sticky.Issue {
		key, _ = cookie(lines, sticky.Cookie, printable)
		return key, ""
	}
	key, ok := cookie(lines, sticky.Cookie, issued)
	if !ok {
		first = rand.Text()
		key = first
	}
	return key, first
}

// issued reports whether a name may be one of rand.Text.
func issued(key string) bool {
	return len(key) == 26 && allIssued(word(key)) && allIssued(word(key[8:])) &&
		allIssued(word(key[16:])) && allIssued(word(key[18:]))
}

// allIssued reports whether each of 8 bytes is from A to Z or from 2 to 7.
func allIssued(w uint64) bool {
	letters := (w + (0x80-'A')*ones) &^ (w + (0x80-'Z'-1)*ones)
	digits := (w + (0x80-'2')*ones) &^ (w + (0x80-'7'-1)*ones)
	return (letters|digits)&^w&highs == highs
}

// of returns the revision of a visitor: that which has the smallest waiting time
// of those drawn for the visitor with the shares as rates. A share that grows
// makes times smaller for one revision, so that visitors only move to it, and
// nothing need be remembered. All of it is integers, so that every machine comes
// to the same.
func (t *table) of(key string) (to *revision) {
	h := hash(key)
	var least, rate uint64
	for _, v := range t.revisions {
		if v.Percent == 0 {
			continue
		}
		percent, w := uint64(v.Percent), wait(mix(h^v.hash))
		if to == nil || w*rate < least*percent { // w/percent < least/rate
			least, rate, to = w, percent, v
		}
	}
	return to
}

// wait returns the waiting time, at rate 1, of a number that is drawn evenly: its
// negative logarithm, as a part of 1<<64, to the base of 2 and in units of 1>>32.
// Between 256 steps the logarithm is taken for straight: times are at most a
// thousandth off, and so are shares, of themselves.
func wait(drawn uint64) uint64 {
	drawn |= 1
	n := bits.LeadingZeros64(drawn) + 1
	rest := drawn << n // behind the leading 1
	i := rest >> 56
	low, high := logs[i], logs[i+1]
	return uint64(n)<<32 - low - (high-low)*(rest<<8>>32)>>32
}

// logs are the logarithms of 1, 1+1/256 and so on to 2, as those of wait.
var logs = func() (table [257]uint64) {
	for i := range 256 {
		x := uint64(256+i) << 55 // 1<<63 is 1
		for range 32 {           // the next bit is whether the square is at least 2
			x, _ = bits.Mul64(x, x)
			bit := x >> 63
			x <<= 1 - bit
			table[i] = table[i]<<1 | bit
		}
	}
	table[256] = 1 << 32
	return table
}()

// hash returns a number for a text, which is the same on every machine: that of
// the visitor and of the run decide who goes where.
func hash(s string) uint64 {
	h := uint64(len(s)) * golden
	if len(s) < 8 {
		return blend(h, short(s))
	}
	last := word(s[len(s)-8:]) // which may be in part what was taken before
	for ; len(s) > 8; s = s[8:] {
		h = blend(h, word(s))
	}
	return blend(h, last)
}

// blend takes a word into a hash.
func blend(h, w uint64) uint64 {
	h = (h ^ w) * golden
	return h ^ h>>32
}

// mix spreads the bits, as the end of splitmix64 does.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
