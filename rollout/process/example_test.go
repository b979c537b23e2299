package process_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// A service of this machine, which its next version replaces with no request
// lost. It goes on when this program ends, which takes it up again.
func ExampleOpen() {
	db, err := sqlite.Open(sqlite.Config{Path: "upkeep.db"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	programs, err := process.Open(process.Config{Dir: "services", Store: db})
	if err != nil {
		log.Fatal(err)
	}
	defer programs.Close()
	router := traffic.New(traffic.Config{})
	c, err := rollout.New(rollout.Config{Store: db, Deployer: programs, Router: router})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	web := rollout.ServiceID{Name: "web"}
	go http.ListenAndServe("127.0.0.1:8080", router.Handler(web))
	_, err = c.Roll(context.Background(), rollout.Request{
		Service: web, Version: "v2", Spec: rollout.Spec{Command: []string{"bin/web-2"}},
		Strategy: &rollout.Strategy{Steps: []rollout.Step{{Percent: 5, Hold: 2 * time.Minute}, {Percent: 50, Manual: true}}},
	})
	if err != nil {
		log.Print(err)
	}
}

// What a service does to serve where its Deployer wants it to.
func ExampleListener() {
	l, err := process.Listener()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir("site")), ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(l); err != nil {
		log.Print(err)
	}
}
