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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
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

// errUsage reports that the command line was not understood; why has been said.
var errUsage = errors.New("usage")

// tool is one call of the command.
type tool struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	now      time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	t := tool{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now()}
	code := t.exitCode(t.run(os.Args[1:]))
	stop()
	os.Exit(code)
}

func (t tool) exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(t.err, "upkeep-feed:", err)
	return 1
}

func (t tool) run(args []string) error {
	commands := map[string]func([]string) error{
		"keys": t.keys, "add": t.add, "cohort": t.cohort, "remove": t.remove, "renew": t.renew,
		"prune": t.prune, "rotate": t.rotate, "bundle": t.bundle, "verify": t.verify,
	}
	if len(args) == 0 {
		fmt.Fprint(t.err, usage)
		return errUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(t.out, usage)
		return nil
	}
	command, known := commands[args[0]]
	if !known {
		fmt.Fprintf(t.err, "upkeep-feed: unknown command %q\n\n%s", args[0], usage)
		return errUsage
	}
	return command(args[1:])
}

// flags are those of one command.
type flags struct {
	*flag.FlagSet
	tool tool
}

// flags begins the flags of a command; help says what it does.
func (t tool) flags(line, help string) flags {
	f := flag.NewFlagSet(line, flag.ContinueOnError)
	f.SetOutput(t.err)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: upkeep-feed %s\n\n%s\n\n", line, help)
		f.PrintDefaults()
	}
	return flags{FlagSet: f, tool: t}
}

// parse reads the flags; so many arguments must follow.
func (f flags) parse(args []string, want int) error {
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			f.SetOutput(f.tool.out)
		}
	}
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage // the flag set has said why
	case f.NArg() > want:
		return f.wrong("unexpected argument %q", f.Arg(want))
	case f.NArg() < want:
		return f.wrong("there is no file to add")
	}
	return nil
}

// wrong says what is wrong with the command line.
func (f flags) wrong(format string, args ...any) error {
	fmt.Fprintf(f.Output(), "upkeep-feed: %s\n", fmt.Sprintf(format, args...))
	f.Usage()
	return errUsage
}

// list is a flag that may be repeated; the first one replaces the default.
type list struct {
	values []string
	set    bool
}

func (l *list) String() string { return strings.Join(l.values, ", ") }

// Set implements flag.Value.
func (l *list) Set(value string) error {
	if !l.set {
		l.values, l.set = nil, true
	}
	l.values = append(l.values, value)
	return nil
}

func (f flags) list(name, byDefault, help string) *list {
	l := &list{}
	if byDefault != "" {
		l.values = []string{byDefault}
	}
	f.Var(l, name, help)
	return l
}
