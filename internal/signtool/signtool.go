// Package signtool is what the commands that sign have in common: how they read
// their command line (signtool.go), and their keys (keys.go).
package signtool

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// Tool is one call of a command.
type Tool struct {
	Name     string // of the command
	Usage    string // what it is for, and how
	In       io.Reader
	Out, Err io.Writer
	Now      time.Time
}

// errUsage reports that the command line was not understood; why has been said.
var errUsage = errors.New("usage")

// Run does what the first argument names, and returns the exit code: 0, 1 if
// something failed, or 2 if it was not understood.
func (t Tool) Run(args []string, commands map[string]func([]string) error) int {
	err := t.run(args, commands)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(t.Err, "%s: %v\n", t.Name, err)
	return 1
}

func (t Tool) run(args []string, commands map[string]func([]string) error) error {
	if len(args) == 0 {
		fmt.Fprint(t.Err, t.Usage)
		return errUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(t.Out, t.Usage)
		return nil
	}
	command, known := commands[args[0]]
	if !known {
		fmt.Fprintf(t.Err, "%s: unknown command %q\n\n%s", t.Name, args[0], t.Usage)
		return errUsage
	}
	return command(args[1:])
}

// Warn tells a person something that does not stop the command.
func (t Tool) Warn(format string, args ...any) {
	fmt.Fprintf(t.Err, "%s: %s\n", t.Name, fmt.Sprintf(format, args...))
}

// Flags are those of one command.
type Flags struct {
	*flag.FlagSet
	tool Tool
}

// Flags begins the flags of a command; help says what it does.
func (t Tool) Flags(line, help string) Flags {
	f := flag.NewFlagSet(line, flag.ContinueOnError)
	f.SetOutput(t.Err)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: %s %s\n\n%s\n\n", t.Name, line, help)
		f.PrintDefaults()
	}
	return Flags{FlagSet: f, tool: t}
}

// Parse reads the flags; at most this many arguments may follow, any if it is
// negative.
func (f Flags) Parse(args []string, most int) error {
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			f.SetOutput(f.tool.Out)
		}
	}
	err := f.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage // the flag set has said why
	case most >= 0 && f.NArg() > most:
		return f.Wrong("unexpected argument %q", f.Arg(most))
	}
	return nil
}

// Wrong says what is wrong with the command line.
func (f Flags) Wrong(format string, args ...any) error {
	fmt.Fprintf(f.Output(), "%s: %s\n", f.tool.Name, fmt.Sprintf(format, args...))
	f.Usage()
	return errUsage
}

// List is a flag that may be repeated; the first one replaces the default.
type List struct {
	Values []string
	set    bool
}

func (l *List) String() string { return strings.Join(l.Values, ", ") }

// Set implements flag.Value.
func (l *List) Set(value string) error {
	if !l.set {
		l.Values, l.set = nil, true
	}
	l.Values = append(l.Values, value)
	return nil
}

// List defines such a flag.
func (f Flags) List(name, byDefault, help string) *List {
	l := &List{}
	if byDefault != "" {
		l.Values = []string{byDefault}
	}
	f.Var(l, name, help)
	return l
}
