package lv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// Banner is a row of the examples.
type Banner struct {
	Text string `json:"text"`
}

func open() (*lv.Service, *lv.Table) {
	service, err := lv.New(lv.Config{Store: memory.New()})
	if err != nil {
		log.Fatal(err)
	}
	return service, service.Table("site", "banners")
}

// must ends an example that cannot go on.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func show(row lv.Row, err error) {
	fmt.Println(string(row.Content), err)
}

func ExampleTable_Publish() {
	service, banners := open()
	defer service.Close()
	ctx, by := context.Background(), lv.By{Actor: "ada"}

	must(banners.Save(ctx, "top", json.RawMessage(`{"text":"Spring sale"}`), by))
	_, err := banners.Get(ctx, "top", lv.View{})
	fmt.Println(err)
	must(banners.Publish(ctx, lv.Production, by, "top"))
	show(banners.Get(ctx, "top", lv.View{}))
	// Output:
	// lv: not found: row "top"
	// {"text":"Spring sale"} <nil>
}

func ExampleTable_SaveStrategy() {
	service, banners := open()
	defer service.Close()
	ctx, by := context.Background(), lv.By{Actor: "ada"}
	must(banners.Save(ctx, "top", json.RawMessage(`{"text":"old"}`), by))
	must(banners.Publish(ctx, lv.Production, by, "top"))

	next := must(banners.Save(ctx, "top", json.RawMessage(`{"text":"new"}`), by))
	rules := must(lv.ParseRules([]byte(`[{"type":"and","rules":[
		{"object":"user","field":"country","relation":"in","value":["de","fr"]},
		{"relation":"percentage","value":{"percent":50,"by":"user.id"}}]}]`)))
	must(banners.SaveStrategy(ctx, lv.Strategy{Title: "half of two countries", Target: next.ID, Rules: rules}, by))
	for _, visitor := range []string{"u1", "u2", "u3"} {
		row := must(banners.Get(ctx, "top", lv.View{For: lv.Attributes{"user.country": "de", "user.id": visitor}}))
		fmt.Println(visitor, string(row.Content))
	}
	// Output:
	// u1 {"text":"new"}
	// u2 {"text":"new"}
	// u3 {"text":"old"}
}

func ExampleTable_Draft() {
	service, banners := open()
	defer service.Close()
	ctx, ada, bob := context.Background(), lv.By{Actor: "ada"}, lv.By{Actor: "bob"}
	must(banners.Save(ctx, "top", json.RawMessage(`{"text":"reviewed"}`), ada))

	plan := must(banners.Draft(ctx, lv.Release{Changes: []lv.Change{{Row: "top", Working: true}}}, ada))
	must(banners.Save(ctx, "top", json.RawMessage(`{"text":"a later edit"}`), ada))
	_, err := banners.Approve(ctx, plan.ID, ada)
	fmt.Println(err)
	must(banners.Approve(ctx, plan.ID, bob))
	must(banners.Apply(ctx, plan.ID, bob))
	show(banners.Get(ctx, "top", lv.View{}))

	must(banners.Revert(ctx, plan.ID, bob))
	_, err = banners.Get(ctx, "top", lv.View{})
	fmt.Println(err)
	// Output:
	// lv: not allowed: "ada" wrote release 2 and cannot approve it
	// {"text":"reviewed"} <nil>
	// lv: not found: row "top"
}

func ExampleOf() {
	service, table := open()
	defer service.Close()
	ctx, by := context.Background(), lv.By{Actor: "ada"}
	banners := lv.Of[Banner](table)

	must(banners.Save(ctx, "top", Banner{"Spring sale"}, by))
	must(table.Publish(ctx, lv.Production, by, "top"))
	fmt.Println(must(banners.Get(ctx, "top")).Text)
	for rows, err := range banners.Subscribe(ctx) {
		fmt.Println(rows, err)
		break // or go on: it waits for changes
	}
	// Output:
	// Spring sale
	// map[top:{Spring sale}] <nil>
}

func ExampleMerge() {
	base := json.RawMessage(`{"text":"sale","color":"red","price":1}`)
	ours := json.RawMessage(`{"text":"sale!","color":"red","price":2}`)
	theirs := json.RawMessage(`{"text":"sale","color":"blue","price":3}`)
	merged, conflicts, err := lv.Merge(base, ours, theirs)
	fmt.Println(string(merged), err)
	for _, c := range conflicts {
		fmt.Printf("%s: %s or %s?\n", c.Path, c.From, c.Into)
	}
	// Output:
	// {"color":"blue","price":1,"text":"sale!"} <nil>
	// /price: 2 or 3?
}

func ExampleDiff() {
	differences, err := lv.Diff(json.RawMessage(`{"text":"sale","n":1}`), json.RawMessage(`{"n":1.0,"text":"sale"}`))
	for _, d := range differences {
		fmt.Printf("%s: %s became %s\n", d.Path, d.From, d.Into)
	}
	fmt.Println(err)
	// Output:
	// /n: 1 became 1.0
	// <nil>
}

func ExampleService_Watch() {
	service, banners := open()
	defer service.Close()
	ctx, by := context.Background(), lv.By{Actor: "ada"}
	must(banners.Save(ctx, "top", json.RawMessage(`{}`), by))
	must(banners.Publish(ctx, "beta", by, "top"))
	for e, err := range service.Watch(ctx, 0) {
		fmt.Println(e.Seq, e.Kind, e.Env, e.Rows[0].Row, e.Actor, err)
		if e.Seq == 2 {
			break // it waits for more
		}
	}
	// Output:
	// 1 saved  top ada <nil>
	// 2 released beta top ada <nil>
}
