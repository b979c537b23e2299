package lvtest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// deletions checks which deletions are listed, in every way to ask.
func (t *storeTest) deletions(why string, want ...string) {
	t.Helper()
	v := lv.View{Working: true, Deleted: true}
	listed := t.rows(v)
	require.Equal(t, want, rowIDs(listed), why)
	for i, r := range listed {
		require.Equal(t, lv.StatusChanged, r.Status, why)
		require.Equal(t, t.newest(r.ID).ID, r.Version, "the version is the deletion")
		require.Nil(t, r.Content, why)
		v.After = r.ID
		require.Equal(t, len(want)-i-1, len(t.rows(v)), "a list goes on after %q", r.ID)
		require.Len(t, t.rows(lv.View{Working: true, Deleted: true, Rows: []string{r.ID}}), 1, "one of these can be asked for")
	}
}

func deletionInGrays(t *storeTest) {
	t.write(saving("pinned", "1"), saving("never shown", "1"))
	t.publish(lv.Production, "pinned")
	t.publish(green, "pinned")
	for _, row := range []string{"b", "c", "a"} {
		t.save(row, "1")
		t.publish(green, row)
	}
	t.write(deleting("pinned"), deleting("never shown"), deleting("a"), deleting("b"), deleting("c"))
	t.deletions("a gray shows what was published to it alone", "a", "b", "c", "pinned")
	t.publish(lv.Production, "pinned", "a")
	t.deletions("a gray that points at a row does not follow production", "a", "b", "c", "pinned")

	t.publish(green, "pinned")
	t.deletions("what is published to a gray is not shown there any more", "a", "b", "c")
	t.release(green, lv.Change{Row: "b"})
	t.deletions("a gray that points nowhere shows what production does", "a", "c")
	t.release(blue, to(t.history(lv.Query{Row: "never shown"})[1]))
	t.release(blue, to(t.history(lv.Query{Row: "c"})[1]))
	t.publish(green, "c")
	t.deletions("a gray may begin to show what is deleted", "a", "c", "never shown")
	t.save("a", "2")
	t.publish(blue, "c")
	t.deletions("a row that is saved again is not deleted", "never shown")
	t.remove("a")
	t.deletions("and is deleted again", "a", "never shown")
	t.put(taking(t.publish(green, "a")))
	t.deletions("what is taken back is shown again", "a", "never shown")

	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("row %03d", i))
		t.save(many[i], "1")
	}
	t.publish(blue, many...)
	for _, row := range many {
		t.remove(row)
	}
	t.publish(blue, many[3:]...)
	t.deletions("nobody shows what was published everywhere", slices.Concat([]string{"a", "never shown"}, many[:3])...)
}

func deletionInStrategies(t *storeTest) {
	a, b := t.save("a", "1"), t.save("b", "1")
	s := t.putStrategy(strategy(a))
	gone := t.remove("a")
	t.remove("b")
	t.deletions("a strategy shows the row", "a")
	s.Disabled = true
	s = t.putStrategy(s)
	t.deletions("a disabled strategy may be enabled again", "a")
	other := t.putStrategy(strategy(a))
	s.Target = b.ID
	s = t.putStrategy(s)
	t.deletions("a strategy may show another row", "a", "b")
	other.Target = gone.ID
	other = t.putStrategy(other)
	t.deletions("a strategy that shows the deletion shows nothing", "b")
	t.save("b", "2")
	t.deletions("a row that is saved again is not deleted", []string(nil)...)
	t.remove("b")
	s.Deleted = true
	t.putStrategy(s)
	t.deletions("a deleted strategy shows nothing", []string(nil)...)
	other.Target = b.ID
	t.putStrategy(other)
	t.publish(green, "b")
	t.publish(lv.Production, "b")
	t.deletions("a strategy shows it whatever environments do", "b")
}
