package traffic_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// FuzzAnEndpointOfATableIsTheURLOfAHost: what Table.Check takes can be dialled.
func FuzzAnEndpointOfATableIsTheURLOfAHost(f *testing.F) {
	for _, e := range []string{
		"http://a", "http://a.b-c_d:80/e%20f", "http://[::1]:8080", "HTTP://[1:2:3:4:5:6:7:8]/", "http://[1::2::3]", "http://[::ffff:1.2.3.4]/", "http://127.0.0.1:", "http://127.0.0.1:70000",
		"http://a/%zz", "http://[1.2.3.4]", "http://[fe80::1%25eth0]", "http://a/\"<>{}|^`", "http://a//b", "http://ann:secret@a", "http://a/:@", "http://a:0",
	} {
		f.Add(e)
	}
	router := traffic.New(traffic.Config{})
	f.Fuzz(func(t *testing.T, endpoint string) {
		table := rollout.Table{
			Split:     rollout.Split{Weights: []rollout.Weight{{Version: "a", Run: "a", Percent: 100}}},
			Endpoints: map[string][]string{"a": {endpoint}},
		}
		err := table.Check()
		if err == nil {
			err = router.Set(t.Context(), rollout.ServiceID{Name: "web"}, table)
		} else if strings.Contains(endpoint, "secret") && strings.Contains(err.Error(), "secret") {
			t.Fatalf("%v tells a password", err)
		} else {
			return
		}
		u, parsed := url.Parse(endpoint)
		if err != nil || parsed != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q: %v, %v", endpoint, err, parsed)
		}
	})
}
