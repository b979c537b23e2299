package upkeep_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// Banner is a row's content.
type Banner struct{ Text string }

// must stands for what you do with an error.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// Rows of content: shown to some, then to all, then taken back.
func Example_rows() {
	db, ctx := memory.New(), context.Background()
	rows := must(lv.New(lv.Config{Store: db}))
	defer rows.Close()

	table, ann := rows.Table("shop", "banners"), lv.By{Actor: "ann", Reason: "spring"}
	banners := lv.Of[Banner](table)
	v := must(banners.Save(ctx, "sale", Banner{"Spring sale"}, ann)) // nobody sees it yet
	rules := must(lv.ParseRules([]byte(`[{"object": "user", "field": "country", "relation": "in", "value": ["de", "fr"]}]`)))
	must(table.SaveStrategy(ctx, lv.Strategy{Title: "two countries", Target: v.ID, Rules: rules}, ann))

	visitor := lv.Attributes{"user.country": "fr"}
	row := must(banners.For(ctx, "sale", visitor))                // who is from there sees it; from memory
	release := must(table.Release(ctx, lv.Production, ann, v.ID)) // everybody does
	must(table.Revert(ctx, release.ID, ann))                      // as it was
	fmt.Println(row.Text, release.State)
	// Output: Spring sale applied
}

// The HTTP APIs, beside an application's own routes.
func Example_http() {
	rows := must(lv.New(lv.Config{Store: memory.New()}))
	defer rows.Close()
	token := "an editor's token"

	api := must(httpadapter.New(httpadapter.Config{
		LV:     rows,                                                              // or Update, or both
		Tables: []lv.TableID{{App: "shop", Schema: "banners"}},                    // may be written to though nobody has yet
		Auth:   httpadapter.Secrets{token: {ID: "ann", Role: httpadapter.Editor}}, // without it everybody is refused
	}))
	mux := http.NewServeMux()
	api.Register(mux) // beside your own routes

	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/upkeep/v1/lv/tables", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"tables":[]}
}
