package traffic_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// site starts a page that names its version.
func site(version string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, version) }))
}

// A Controller sets the tables of its Router. A program that knows its
// endpoints may do it itself.
func ExampleRouter() {
	v1, v2 := site("v1"), site("v2")
	defer v1.Close()
	defer v2.Close()
	web := rollout.ServiceID{Name: "web"}
	router := traffic.New(traffic.Config{})
	front := httptest.NewServer(router.Handler(web))
	defer front.Close()

	err := router.Set(context.Background(), web, rollout.Table{
		Generation: 1,
		Split: rollout.Split{
			Weights: []rollout.Weight{{Version: "v1", Run: "first", Percent: 90}, {Version: "v2", Run: "second", Percent: 10}},
			Rules:   []rollout.Rule{{Run: "second", Match: rollout.Match{Query: "preview", Value: "1"}}},
		},
		Endpoints: map[string][]string{"first": {v1.URL}, "second": {v2.URL}},
	})
	if err != nil {
		log.Fatal(err)
	}
	answers := map[string]int{}
	for range 100 {
		answers[get(front.URL)]++
	}
	fmt.Println(answers, get(front.URL+"/?preview=1"))
	// Output: map[v1:90 v2:10] v2
}

func ExampleRouter_Drain() {
	v1, v2 := site("v1"), site("v2")
	defer v2.Close()
	ctx, web := context.Background(), rollout.ServiceID{Name: "web"}
	router := traffic.New(traffic.Config{})
	front := httptest.NewServer(router.Handler(web))
	defer front.Close()
	set := func(generation int64, run, endpoint string) error {
		return router.Set(ctx, web, rollout.Table{
			Generation: generation,
			Split:      rollout.Split{Weights: []rollout.Weight{{Run: run, Percent: 100}}},
			Endpoints:  map[string][]string{run: {endpoint}},
		})
	}
	fmt.Println(set(1, "first", v1.URL), get(front.URL))
	fmt.Println(set(2, "second", v2.URL), router.Drain(ctx, web, v1.URL))
	v1.Close() // nothing of it is in use
	fmt.Println(get(front.URL))
	stats, err := router.Stats(ctx, web)
	fmt.Println(stats.Revisions["first"].Requests, stats.Revisions["second"].Requests, err)
	// Output:
	// <nil> v1
	// <nil> <nil>
	// v2
	// 1 1 <nil>
}

func get(url string) string {
	reply, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(body)
}
