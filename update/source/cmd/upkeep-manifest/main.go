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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
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

// errUsage reports that the command line was not understood; why has been said.
var errUsage = errors.New("usage")

// tool is one call of the command.
type tool struct {
	in       io.Reader
	out, err io.Writer
	now      time.Time
}

func main() {
	t := tool{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now().UTC().Truncate(time.Second)}
	os.Exit(t.exitCode(t.run(os.Args[1:])))
}

func (t tool) exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(t.err, "upkeep-manifest:", err)
	return 1
}

func (t tool) run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(t.err, usage)
		return errUsage
	}
	switch command, args := args[0], args[1:]; command {
	case "keygen":
		return t.keygen(args)
	case "add":
		return t.add(args)
	case "remove":
		return t.remove(args)
	case "renew":
		return t.renew(args)
	case "rotate":
		return t.rotate(args)
	case "verify":
		return t.verify(args)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(t.out, usage)
		return nil
	default:
		fmt.Fprintf(t.err, "upkeep-manifest: unknown command %q\n\n%s", command, usage)
		return errUsage
	}
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
		fmt.Fprintf(f.Output(), "usage: upkeep-manifest %s\n\n%s\n\n", line, help)
		f.PrintDefaults()
	}
	return flags{FlagSet: f, tool: t}
}

// parse reads the flags; at most this many arguments may follow, any if it is
// negative.
func (f flags) parse(args []string, most int) error {
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			f.SetOutput(f.tool.out)
		}
	}
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err == nil && most >= 0 && f.NArg() > most {
		return f.wrong("unexpected argument %q", f.Arg(most))
	}
	if err != nil {
		return errUsage // the flag set has said why
	}
	return nil
}

// wrong says what is wrong with the command line.
func (f flags) wrong(format string, args ...any) error {
	fmt.Fprintf(f.Output(), "upkeep-manifest: %s\n", fmt.Sprintf(format, args...))
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
