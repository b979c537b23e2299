package sqlstore

import (
	"cmp"
	"errors"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// A page bounds how much of a list is in memory at once, in entries and in
// bytes: it ends with the entry that makes it this long.
const pageBytes = 4 << 20

// errPageFull ends the query of such a page.
var errPageFull = errors.New("sqlstore: the page is full")

// page is a part of a list, whose entries follow a key.
type page[T, K any] struct {
	entries []T
	keys    []K  // of what was read: of all entries, and of what is not listed
	bytes   int  // of all of that
	full    bool // there is more, which did not fit
	most    int  // bytes; 0: pageBytes
}

func (p *page[T, K]) long() bool { return p.bytes >= cmp.Or(p.most, pageBytes) }

// take makes room for an entry of so many bytes, or returns errPageFull.
func (p *page[T, K]) take(key K, size int) error {
	if p.long() {
		p.full = true
		return errPageFull
	}
	p.keys, p.bytes = append(p.keys, key), p.bytes+size
	return nil
}

// read reads entries: each calls take before it lists one.
func (p *page[T, K]) read(tx Tx, q query, each func(scan func(...any) error) error) error {
	if err := tx.Query(q.text, q.args, each); !errors.Is(err, errPageFull) {
		return err
	}
	return nil
}

// complete adds to the entries from one on what is kept elsewhere, and leaves
// out those that there is no room for.
func (p *page[T, K]) complete(first int, add func(*T) (size int, err error)) error {
	for i := first; i < len(p.entries); i++ {
		if i > 0 && p.long() {
			p.cut(i)
			return nil
		}
		size, err := add(&p.entries[i])
		if err != nil {
			return err
		}
		p.bytes += size
	}
	return nil
}

// cut leaves the first n entries.
func (p *page[T, K]) cut(n int) {
	p.entries, p.keys, p.full = p.entries[:n], p.keys[:min(n, len(p.keys))], true
}

// pager says how many entries the next page of a list has: powers of two, so
// that there are few statements.
type pager struct{ size, next, most int }

// paging begins with a page of one entry: many callers want no more.
func paging(most int) pager { return pager{size: 1, next: most, most: most} }

// evenly has pages of one size.
func evenly(size int) pager { return pager{size: size, next: size, most: size} }

// turn ends a page that has n entries, and reports whether there may be more.
// After one that was full pages are shorter for a while, because an engine may
// read to its end what nobody wants.
func (p *pager) turn(n int, full bool) (more bool) {
	more = full || n == p.size
	if full {
		p.next = 1 << (bits.Len(uint(max(n, 1))) - 1)
	}
	p.size, p.next = p.next, min(2*p.next, p.most)
	return more
}

// one is the pager of a list that has one entry at most.
var one = evenly(2)

// query is a statement with its arguments.
type query struct {
	text string
	args []any
}

// row reads the one row of a query.
func row(tx Tx, q query, dest ...any) error { return tx.Row(q.text, q.args, dest...) }

// arg adds an argument and returns its place.
func (q *query) arg(value any) string {
	q.args = append(q.args, value)
	return "?" + strconv.Itoa(len(q.args))
}

// and adds a condition.
func (q *query) and(column string, value any) { q.text += " AND " + column + " = " + q.arg(value) }

// limited writes the size of a page into a statement.
func limited(query string, size int) string {
	return strings.Replace(query, "{size}", strconv.Itoa(size), 1)
}

// list yields what follows a key: read reads the next page of it. Between pages
// nothing is held open, so the caller may take its time.
func list[T, K any](size pager, after K, read func(after K, size int) (page[T, K], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		size, after := size, after
		pages(yield, func() ([]T, bool, error) {
			p, err := read(after, size.size)
			if n := len(p.keys); n > 0 {
				after = p.keys[n-1]
			}
			return p.entries, size.turn(len(p.keys), p.full), err
		})
	}
}

// pages yields a list page by page. Next reads a page, and whether there is more.
func pages[T any](yield func(T, error) bool, next func() (page []T, more bool, err error)) {
	for more := true; more; {
		var page []T
		var err error
		if page, more, err = next(); err != nil {
			var nothing T
			yield(nothing, err)
			return
		}
		for _, entry := range page {
			if !yield(entry, nil) {
				return
			}
		}
	}
}

// faulty is an entry of a list, which is not whole if it has a fault.
type faulty[T any] struct {
	entry T
	fault error
}

// sound yields entries with their faults.
func sound[T any](all iter.Seq2[faulty[T], error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for f, err := range all {
			if err == nil {
				err = f.fault
			}
			if !yield(f.entry, err) {
				return
			}
		}
	}
}

// whole lists what was scanned: each with the error of the list, or with why it
// is not whole, after which the list goes on.
func whole[S, T any](scanned iter.Seq2[S, error], of func(S) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range scanned {
			item, fault := of(r)
			if err == nil {
				err = fault
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
