// The command upkeep-feed makes and signs the release feeds that package feed
// reads.
//
//	upkeep-feed keys
//	upkeep-feed add -product encoder -version 1.2.0 image.ext4
//	upkeep-feed verify
//
// It ends with 0, with 1 if something failed, and with 2 if it was not
// understood.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/upkeep-go/upkeep/internal/signtool"
)

const usage = `Upkeep-feed makes release feeds of firmware: signed static files.

	upkeep-feed keys                   make a pair of keys: upkeep.key and upkeep.pub
	upkeep-feed add image              publish an image, and tell what it costs to get
	upkeep-feed cohort                 offer a release to more devices
	upkeep-feed remove                 withdraw a release
	upkeep-feed renew                  sign again, so that the catalog expires later
	upkeep-feed prune                  keep the newest releases only
	upkeep-feed rotate                 replace the keys
	upkeep-feed bundle                 write a release as one file, to be brought by hand
	upkeep-feed verify                 read the feed as a device does, and show it

"upkeep-feed <command> -h" tells more. The first release of a product:

	upkeep-feed keys
	upkeep-feed add -product encoder -version 1.0.0 image.ext4

Then serve the folder feed, build the public key into the program, and keep
upkeep.key where nobody finds it. A catalog expires: renew it in time. Make the
image uncompressed: the feed compresses it, and makes patches from the releases
before, which it reads back from its folder.
`

// tool is one call of the command.
type tool struct {
	signtool.Tool
	ctx context.Context
}

func newTool(ctx context.Context, in io.Reader, out, err io.Writer, now time.Time) tool {
	return tool{signtool.Tool{Name: "upkeep-feed", Usage: usage, In: in, Out: out, Err: err, Now: now}, ctx}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := newTool(ctx, os.Stdin, os.Stdout, os.Stderr, time.Now()).run(os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code.
func (t tool) run(args []string) int {
	return t.Run(args, map[string]func([]string) error{
		"keys": func(args []string) error { return t.MakeKeys("keys", args) },
		"add":  t.add, "cohort": t.cohort, "remove": t.remove, "renew": t.renew,
		"prune": t.prune, "rotate": t.rotate, "bundle": t.bundle, "verify": t.verify,
	})
}
