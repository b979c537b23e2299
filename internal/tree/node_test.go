package tree_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tree"
)

func many(n int) (entries []tree.Entry) {
	for i := range n {
		e := parse(fmt.Sprint("x=", i))["x"]
		e.Name = fmt.Sprintf("note %08d.md", i)
		entries = append(entries, e)
	}
	return entries
}

func TestALargeFolderChangesByAPage(t *testing.T) {
	in, o := fresh()
	entries := many(20_000)
	first, err := in.Make(t.Context(), entries)
	require.NoError(t, err)
	pages := o.puts
	require.InDelta(t, 20_000/1280, pages, 8)
	got, err := in.Entries(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, entries, got)

	for name, change := range map[string][]tree.Entry{
		"an edit":     slices.Concat(entries[:9_000], []tree.Entry{{Name: entries[9_000].Name, Kind: tree.Link, Mode: 0o777, Link: "x"}}, entries[9_001:]),
		"a new entry": slices.Concat(entries[:9_000], []tree.Entry{{Name: entries[8_999].Name + " new", Kind: tree.File, Mode: 0o644}}, entries[9_000:]),
		"a deletion":  slices.Concat(entries[:9_000], entries[9_001:]),
	} {
		o.puts = 0
		_, err := in.Make(t.Context(), change)
		require.NoError(t, err)
		require.LessOrEqual(t, o.puts, 3, "%s: a page or two, and the list of them", name)
	}
	o.puts = 0
	again, err := in.Make(t.Context(), entries)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Zero(t, o.puts)
}

// The form of objects is part of what devices have in common: these bytes never
// change.
func TestTheFormOfAFolder(t *testing.T) {
	in, o := fresh()
	e := parse("a=1!600 d/!700 l>../x z=")
	a := e["a"]
	a.Time = -5
	e["a"] = a
	id := write(t, in, e)
	require.Equal(t, "0104"+
		"0161"+"66"+"8003"+"01"+"09"+"01"+"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"+
		"0164"+"64"+"c003"+strings.Repeat("00", 32)+
		"016c"+"6c"+"a403"+"042e2e2f78"+
		"017a"+"66"+"a403"+"00"+"00"+"00",
		hex.EncodeToString(o.all[id]))
	id, err := in.Make(t.Context(), many(5_000))
	require.NoError(t, err)
	require.Equal(t, "0205106e6f74652030303030303030302e6d648262f2d181dfd211daab2e907018c55d9715ac88c5", hex.EncodeToString(o.all[id][:40]))
}

func TestADamagedFolderIsSeen(t *testing.T) {
	in, o := fresh()
	name, file := "0161", "66a403000000"
	one := name + file
	for why, object := range map[string]string{
		"nothing":                     "",
		"another form":                "0301" + one,
		"no entry":                    "0100",
		"less entries":                "0102" + one,
		"more entries":                "0101" + one + "0162" + file,
		"not sorted":                  "0102" + "0162" + file + one,
		"twice a name":                "0102" + one + one,
		"no name":                     "0101" + "00" + file,
		"a name with a slash":         "0101" + "022f61" + file,
		"a name that leads up":        "0101" + "022e2e" + file,
		"a name of this folder":       "0101" + "012e" + file,
		"a zero byte in a name":       "0101" + "0100" + file,
		"a longer name than there is": "0101" + "7f61" + file,
		"another kind":                "0101" + name + "78a403000000",
		"more permissions":            "0101" + name + "66808001000000",
		"a number in too many bytes":  "0101" + name + "66a48300000000",
		"a number without an end":     "0101" + name + "66ffffffffffffffffffff",
		"a size without content":      "0101" + name + "66a403010000",
		"content without a size":      "0101" + name + "66a403000001" + strings.Repeat("00", 32),
		"more content than there is":  "0101" + name + "66a40301007f" + strings.Repeat("00", 32),
		"a link to nothing":           "0101" + name + "6ca40300",
		"a link with a zero byte":     "0101" + name + "6ca4030100",
		"one page":                    "0201" + name + strings.Repeat("00", 32),
		"pages that are not sorted":   "0202" + "0162" + strings.Repeat("00", 32) + name + strings.Repeat("00", 32),
		"more pages than there are":   "02ff7f" + name + strings.Repeat("00", 32),
		"a page that ends":            "0202" + name + strings.Repeat("00", 32) + "0162" + strings.Repeat("00", 31),
	} {
		data, err := hex.DecodeString(object)
		require.NoError(t, err, why)
		id, err := o.Put(t.Context(), data)
		require.NoError(t, err)
		_, err = in.Entries(t.Context(), id)
		require.ErrorIs(t, err, tree.ErrCorrupt, why)
	}
}

// TestPagesAreOfOneFolder: a list of pages says what each begins with, and pages
// have no pages.
func TestPagesAreOfOneFolder(t *testing.T) {
	in, o := fresh()
	page := func(names ...string) string {
		object := fmt.Sprintf("01%02x", len(names))
		for _, name := range names {
			object += fmt.Sprintf("%02x%x", len(name), name) + "66a403000000"
		}
		data, err := hex.DecodeString(object)
		require.NoError(t, err)
		id, err := o.Put(t.Context(), data)
		require.NoError(t, err)
		return hex.EncodeToString(id[:])
	}
	list := func(pages ...string) tree.ID {
		object := fmt.Sprintf("02%02x", len(pages)/2)
		for i := 0; i < len(pages); i += 2 {
			object += fmt.Sprintf("%02x%x", len(pages[i]), pages[i]) + pages[i+1]
		}
		data, err := hex.DecodeString(object)
		require.NoError(t, err)
		id, err := o.Put(t.Context(), data)
		require.NoError(t, err)
		return id
	}
	good := list("a", page("a", "b"), "c", page("c"))
	entries, err := in.Entries(t.Context(), good)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for why, id := range map[string]tree.ID{
		"a page that begins otherwise": list("a", page("a", "b"), "c", page("d")),
		"pages that overlap":           list("a", page("a", "d"), "c", page("c")),
		"pages that meet":              list("a", page("a", "c"), "c", page("c")),
		"pages of pages":               list("a", hex.EncodeToString(good[:]), "d", page("d")),
	} {
		_, err := in.Entries(t.Context(), id)
		require.ErrorIs(t, err, tree.ErrCorrupt, why)
	}
}

func TestNamesThatAFolderMayHave(t *testing.T) {
	for _, name := range []string{"a", "...", ".a", "a b", "ü", "\xff", "a\nb", `a\b`, "a:b", strings.Repeat("x", 1024)} {
		require.True(t, tree.ValidName(name), "%q", name)
	}
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00", strings.Repeat("x", 1025)} {
		require.False(t, tree.ValidName(name), "%q", name)
	}
}

func FuzzFolder(f *testing.F) {
	in, o := fresh()
	_, _ = in.Make(f.Context(), many(3_000))
	write(f, in, parse("a=1!600 d/e=2 d/f/!700 l>../x z="))
	for _, object := range o.all {
		f.Add(object)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		in, o := fresh()
		id, err := o.Put(t.Context(), object)
		require.NoError(t, err)
		entries, err := in.Entries(t.Context(), id)
		if err != nil {
			return // damaged, or a list of pages that are not there
		}
		o.puts = 0
		again, err := in.Make(t.Context(), entries)
		require.NoError(t, err)
		if len(entries) <= 256 {
			require.Equal(t, id, again, "an object has one form")
		}
	})
}
