// The command upkeep-manifest makes and signs the manifests that
// manifest.Source reads.
//
//	upkeep-manifest keygen
//	upkeep-manifest add -product demo/app -version 1.2.0 dist
//	upkeep-manifest verify
//
// It ends with 0, with 1 if something failed, and with 2 if it was not
// understood.
package main

import (
	"io"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/signtool"
)

const usage = `Upkeep-manifest makes the signed manifests of programs that update themselves.

	upkeep-manifest keygen             make a pair of keys: upkeep.key and upkeep.pub
	upkeep-manifest add [file ...]     add a version, or systems to a version
	upkeep-manifest remove             withdraw a version
	upkeep-manifest renew              sign again, so that it expires later
	upkeep-manifest rotate             replace the keys
	upkeep-manifest verify             check the manifest, and show it

"upkeep-manifest <command> -h" tells more. The first release of a program:

	upkeep-manifest keygen
	upkeep-manifest add -product demo/app -version 1.0.0 dist

Then serve manifest.json and dist, build the public key into the program, and
keep upkeep.key where nobody finds it. A manifest expires: renew it in time.
`

// tool is one call of the command.
type tool struct{ signtool.Tool }

func newTool(in io.Reader, out, err io.Writer, now time.Time) tool {
	return tool{signtool.Tool{Name: "upkeep-manifest", Usage: usage, In: in, Out: out, Err: err, Now: now}}
}

func main() {
	os.Exit(newTool(os.Stdin, os.Stdout, os.Stderr, time.Now().UTC().Truncate(time.Second)).run(os.Args[1:]))
}

// run returns the exit code.
func (t tool) run(args []string) int {
	return t.Run(args, map[string]func([]string) error{
		"keygen": func(args []string) error { return t.MakeKeys("keygen", args) },
		"add":    t.add, "remove": t.remove, "renew": t.renew, "rotate": t.rotate, "verify": t.verify,
	})
}
