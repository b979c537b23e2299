package lv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func TestDiffListsTheFieldsThatDiffer(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b string
		want []lv.Difference
	}{
		"the same but for its form":      {`{"a":1,"b":"x"}`, ` {"b":"\u0078","a":1}`, nil},
		"a value":                        {`{"a":1,"b":2}`, `{"a":1,"b":3}`, []lv.Difference{{Path: "/b", From: raw(`2`), Into: raw(`3`)}}},
		"a field that came":              {`{}`, `{"a":null}`, []lv.Difference{{Path: "/a", Into: raw(`null`)}}},
		"a field that went":              {`{"a":{"z":1}}`, `{}`, []lv.Difference{{Path: "/a", From: raw(`{"z":1}`)}}},
		"fields of fields":               {`{"a":{"b":{"c":1,"d":2}}}`, `{"a":{"b":{"c":2,"d":2}}}`, []lv.Difference{{Path: "/a/b/c", From: raw(`1`), Into: raw(`2`)}}},
		"names that a pointer escapes":   {`{"a/b":1,"c~d":1,"":1}`, `{"a/b":2,"c~d":2,"":2}`, []lv.Difference{{Path: "/", From: raw(`1`), Into: raw(`2`)}, {Path: "/a~1b", From: raw(`1`), Into: raw(`2`)}, {Path: "/c~0d", From: raw(`1`), Into: raw(`2`)}}},
		"arrays are whole":               {`{"a":[1,2]}`, `{"a":[1,3]}`, []lv.Difference{{Path: "/a", From: raw(`[1,2]`), Into: raw(`[1,3]`)}}},
		"numbers written differently":    {`{"a":1}`, `{"a":1.0}`, []lv.Difference{{Path: "/a", From: raw(`1`), Into: raw(`1.0`)}}},
		"numbers no float can tell":      {`[9007199254740993]`, `[9007199254740992]`, []lv.Difference{{From: raw(`[9007199254740993]`), Into: raw(`[9007199254740992]`)}}},
		"an object in place of a scalar": {`{"a":1}`, `{"a":{"b":"<"}}`, []lv.Difference{{Path: "/a", From: raw(`1`), Into: raw(`{"b":"<"}`)}}},
		"a deletion":                     {`{"a":1}`, ``, []lv.Difference{{From: raw(`{"a":1}`)}}},
		"two deletions":                  {``, ``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := lv.Diff(raw(tt.a), raw(tt.b))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestMerge(t *testing.T) {
	for name, tt := range map[string]struct {
		base, ours, theirs, want string
		conflicts                []lv.Difference
	}{
		"different fields":                 {`{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":1,"b":2}`, `{"a":2,"b":2}`, nil},
		"the same change":                  {`{"a":1}`, `{"a":2}`, `{"a":2}`, `{"a":2}`, nil},
		"fields of fields":                 {`{"o":{"a":1,"b":1}}`, `{"o":{"a":2,"b":1}}`, `{"o":{"a":1,"b":2}}`, `{"o":{"a":2,"b":2}}`, nil},
		"one adds, the other removes":      {`{"a":1}`, `{"a":1,"b":2}`, `{}`, `{"b":2}`, nil},
		"both add objects":                 {`{}`, `{"o":{"a":1}}`, `{"o":{"b":2}}`, `{"o":{"a":1,"b":2}}`, nil},
		"both change a field":              {`{"a":1,"b":1}`, `{"a":2,"b":2}`, `{"a":3,"b":1}`, `{"a":1,"b":2}`, []lv.Difference{{Path: "/a", Base: raw(`1`), From: raw(`2`), Into: raw(`3`)}}},
		"both add a field":                 {`{}`, `{"a":1}`, `{"a":2}`, `{}`, []lv.Difference{{Path: "/a", From: raw(`1`), Into: raw(`2`)}}},
		"one changes, the other removes":   {`{"a":1}`, `{"a":2}`, `{}`, `{"a":1}`, []lv.Difference{{Path: "/a", Base: raw(`1`), From: raw(`2`)}}},
		"both change an array":             {`{"a":[1]}`, `{"a":[1,2]}`, `{"a":[0,1]}`, `{"a":[1]}`, []lv.Difference{{Path: "/a", Base: raw(`[1]`), From: raw(`[1,2]`), Into: raw(`[0,1]`)}}},
		"a field inside one that went":     {`{"o":{"a":1}}`, `{"o":{"a":2}}`, `{}`, `{"o":{"a":1}}`, []lv.Difference{{Path: "/o", Base: raw(`{"a":1}`), From: raw(`{"a":2}`)}}},
		"only theirs changed, all of it":   {`{"a":1}`, `{"a":1}`, `[]`, `[]`, nil},
		"deleted here, untouched there":    {`{"a":1}`, ``, `{"a":1}`, ``, nil},
		"deleted here, changed there":      {`{"a":1}`, ``, `{"a":2}`, `{"a":1}`, []lv.Difference{{Base: raw(`{"a":1}`), Into: raw(`{"a":2}`)}}},
		"both make an object of a number":  {`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"c":2}}`, `{"a":1}`, []lv.Difference{{Path: "/a", Base: raw(`1`), From: raw(`{"b":1}`), Into: raw(`{"c":2}`)}}},
		"numbers and letters stay as were": {`{"a":1.0,"b":"<é>"}`, `{"a":1.0,"b":"<é>","c":1e2}`, `{"a":1.0,"b":"<é>"}`, `{"a":1.0,"b":"<é>","c":1e2}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, conflicts, err := lv.Merge(raw(tt.base), raw(tt.ours), raw(tt.theirs))
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
			require.Equal(t, tt.conflicts, conflicts)
		})
	}
}

func TestPathsDoNotMakeADifferenceMuchLongerThanTheContents(t *testing.T) {
	object := func(value string) json.RawMessage {
		var fields []string
		for i := range 1000 {
			fields = append(fields, fmt.Sprintf(`"%d":%s`, i, value))
		}
		return raw(`{"` + strings.Repeat("x", 100_000) + `":{` + strings.Join(fields, ",") + `}}`)
	}
	size := func(found []lv.Difference) (n int) {
		for _, d := range found {
			n += len(d.Path) + len(d.Base) + len(d.From) + len(d.Into)
		}
		return n
	}
	found, err := lv.Diff(object("1"), object("2"))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.Less(t, size(found), 1_000_000)
	merged, conflicts, err := lv.Merge(object("1"), object("2"), object("3"))
	require.NoError(t, err)
	require.NotEmpty(t, conflicts)
	require.Less(t, size(conflicts), 1_000_000)
	require.True(t, bytes.HasSuffix(merged, []byte(`:1}}`)), "what conflicts stays as it is in base")
}

func TestDiffAndMergeRefuseWhatIsNoContent(t *testing.T) {
	for _, bad := range []string{`{"a":1,"a":2}`, `{`, "\"\xff\""} {
		for i := range 3 {
			contents := []json.RawMessage{raw(`{}`), raw(`{}`), raw(`{}`)}
			contents[i] = raw(bad)
			_, _, err := lv.Merge(contents[0], contents[1], contents[2])
			require.ErrorIs(t, err, lv.ErrInvalid)
			if i < 2 {
				_, err = lv.Diff(contents[0], contents[1])
				require.ErrorIs(t, err, lv.ErrInvalid)
			}
		}
	}
}

// FuzzMerge checks what holds for any three contents.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1,"o":{"b":[1]}}`), []byte(`{"a":2,"o":{"b":[1],"c":0}}`), []byte(`{"a":1,"o":{}}`))
	f.Add([]byte(`{}`), []byte(`{"a":1}`), []byte(`{"a":{"b":1}}`))
	f.Add([]byte(`1`), []byte(`{"~/":""}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, base, ours, theirs []byte) {
		for _, content := range [][]byte{base, ours, theirs} {
			if _, err := lv.Canonical(content); err != nil {
				return
			}
		}
		must := func(b, o, t2 []byte) (string, []lv.Difference) {
			merged, conflicts, err := lv.Merge(b, o, t2)
			require.NoError(t, err)
			return string(merged), conflicts
		}
		same := func(a, b []byte) bool {
			differences, err := lv.Diff(a, b)
			require.NoError(t, err)
			x, _ := lv.Digest(a)
			y, _ := lv.Digest(b)
			require.Equal(t, x == y, len(differences) == 0, "%s and %s differ in %v", a, b, differences)
			return x == y
		}
		canonical := func(content []byte) string {
			c, _ := lv.Canonical(content)
			return string(c)
		}
		same(ours, theirs)
		alone, conflicts := must(base, ours, base)
		require.Equal(t, canonical(ours), alone)
		require.Empty(t, conflicts)
		agreed, conflicts := must(base, ours, ours)
		require.Equal(t, canonical(ours), agreed)
		require.Empty(t, conflicts)
		merged, conflicts := must(base, ours, theirs)
		mirrored, reversed := must(base, theirs, ours)
		require.Equal(t, merged, mirrored)
		require.Len(t, reversed, len(conflicts))
		for i, c := range conflicts {
			require.Equal(t, lv.Difference{Path: c.Path, Base: c.Base, From: c.Into, Into: c.From}, reversed[i])
		}
	})
}
