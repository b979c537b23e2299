// Roll is a front with two versions of a service behind it, of which it brings
// the second into use a step at a time. Stopped in the middle, or killed, it
// goes on with that when it is started again.
//
//	go run ./examples/roll
//	while sleep 0.1; do curl -s http://127.0.0.1:8090; done # elsewhere
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	addresses := []string{"127.0.0.1:8091", "127.0.0.1:8092"} // of v1 and v2, which could be other programs
	for i := range addresses {
		answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "v%d\n", i+1) }
		service := &http.Server{Addr: addresses[i], Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}
		go func() { log.Print(service.ListenAndServe()) }() // for as long as the program
		addresses[i] = "http://" + addresses[i]
	}
	front, err := net.Listen("tcp", "127.0.0.1:8090")
	if err != nil {
		log.Fatal(err)
	}
	steps := []rollout.Step{{Percent: 10, Hold: 10 * time.Second}, {Percent: 50, Hold: 10 * time.Second}, {Percent: 100, Hold: 10 * time.Second}}
	if err := serve(ctx, os.Stdout, "roll.db", front, addresses, rollout.Strategy{Steps: steps}); err != nil {
		log.Fatal(err)
	}
}

// serve serves the versions at the front, and rolls to each in its turn, until
// ctx ends.
func serve(ctx context.Context, out io.Writer, database string, l net.Listener, versions []string, s rollout.Strategy) error {
	db, err := sqlite.Open(sqlite.Config{Path: database})
	if err != nil {
		return err
	}
	defer db.Close()
	deployer, router := static.New(static.Config{}), traffic.New(traffic.Config{})
	defer deployer.Close()
	c, err := rollout.New(rollout.Config{Store: db, Deployer: deployer, Router: router, Strategy: s})
	if err != nil {
		return err
	}
	defer c.Close()
	front := &http.Server{Handler: router.Handler(rollout.ServiceID{Name: "web"}), ReadHeaderTimeout: 10 * time.Second}
	running, end := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { _ = front.Serve(l) })       // until Shutdown
	background.Go(func() { _ = c.Run(running) })       // routes what is recorded, and takes up what was left
	if err = roll(ctx, out, c, versions); err == nil { // v2 has all of the traffic
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil // what is not done is left for the next start
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, front.Shutdown(patience), c.Shutdown(patience)) // no request comes any more, then no run goes on
	end()
	background.Wait()
	return err
}

// roll brings each version into use after the one before.
func roll(ctx context.Context, out io.Writer, c *rollout.Controller, versions []string) error {
	for i, address := range versions {
		version := fmt.Sprintf("v%d", i+1)
		run, err := c.Start(ctx, rollout.Request{
			Service: rollout.ServiceID{Name: "web"}, Version: version, Spec: rollout.Spec{Addresses: []string{address}},
			By: rollout.By{RequestID: version}, // with which a restart gets the run that there is, done or not
		})
		if err != nil {
			return err
		}
		err = rollout.Print(out, c.Follow(ctx, run.ID))
		if _, failed := c.Wait(ctx, run.ID); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
	}
	return nil
}
