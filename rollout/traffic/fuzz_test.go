package traffic_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/upkeep-go/upkeep/rollout/traffic"
)

func FuzzAQueryIsReadAsTheStandardLibraryReadsIt(f *testing.F) {
	for _, query := range []string{"a=1&b=2", "a+b=%26&a;b=1", "a&=&%zz=1", "&&a=1=2", ""} {
		f.Add(query, "a", "1")
		f.Add(query, "a b", "&")
		f.Add(query, "", "")
	}
	f.Fuzz(func(t *testing.T, query, name, value string) {
		values, _ := url.ParseQuery(query) // what is wrong is left out
		if strings.Count(query, "&") > 9000 {
			return // more than the standard library reads
		}
		if got, want := traffic.Queried(query, name, value), slices.Contains(values[name], value); got != want {
			t.Fatalf("%q has %q=%q: %v, not %v", query, name, value, got, want)
		}
	})
}

func FuzzACookieIsReadAsTheStandardLibraryReadsIt(f *testing.F) {
	for _, line := range []string{"a=1; b=2", ` a = "1" ;a=2`, `a="; a=\; a`, "a=1,2 3; =; ;", "\t", `a="1`} {
		f.Add(line, line, "a")
		f.Add(line, "", "b")
	}
	f.Fuzz(func(t *testing.T, one, two, name string) {
		if (&http.Cookie{Name: name}).Valid() != nil || strings.Count(one+two, ";") > 2900 {
			return // no name of a cookie, or more cookies than the standard library reads
		}
		lines := []string{one, two}
		r := http.Request{Header: http.Header{"Cookie": lines}}
		want, has := "", false
		if found := r.CookiesNamed(name); len(found) > 0 {
			want, has = found[0].Value, true
		}
		if got, ok := traffic.Cookie(lines, name); ok != has || got != want {
			t.Fatalf("%q in %q: %q %v, not %q %v", name, lines, got, ok, want, has)
		}
	})
}
