package rollout

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Further limits of what a request may ask for.
const (
	maxAddress   = 8 << 10 // bytes of a URL, a path
	maxTotal     = 1 << 20 // bytes of all entries, or arguments, of one field
	maxScaling   = 16
	maxMatches   = 100
	maxFunctions = 100 // analyses, and hooks of a kind
	maxTail      = 1_000_000
)

// plain refuses a text that is too long, or that is no line of text.
func plain(field, value string, most int) error {
	if err := fits(field, value, most); err != nil {
		return err
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return invalid(field, "has a control character, or is no UTF-8")
	}
	return nil
}

// token refuses what is no name of a header or a cookie.
func token(field, name string) error {
	if !isToken(name) {
		return invalid(field, "has the name %.40q, which no header and no cookie has", name)
	}
	return fits(field, name, maxName)
}

// checkCommand refuses arguments that no program can be given.
func checkCommand(field string, args []string) error {
	if len(args) > maxFields {
		return invalid(field, "has %d arguments, at most %d are allowed", len(args), maxFields)
	}
	sum := 0
	for i, a := range args {
		if strings.ContainsRune(a, 0) {
			return invalid(field, "has a zero byte in argument %d", i)
		}
		if err := fits(fmt.Sprintf("%s[%d]", field, i), a, maxValue); err != nil {
			return err
		}
		sum += len(a)
	}
	if sum > maxTotal {
		return invalid(field, "has %d bytes, at most %d are allowed", sum, maxTotal)
	}
	return nil
}

// checkTexts refuses texts of a content that are too long, or no lines of text.
func (s Spec) checkTexts() error {
	errs := []error{checkCommand("Command", s.Command)}
	add := func(most int, texts ...[2]string) {
		for _, t := range texts {
			errs = append(errs, plain(t[0], t[1], most))
		}
	}
	if a := s.Archive; a != nil {
		errs = append(errs, checkCommand("Archive.Command", a.Command))
		add(maxAddress, [2]string{"Archive.URL", a.URL})
	}
	if i := s.Image; i != nil {
		add(maxAddress, [2]string{"Image.Repository", i.Repository}, [2]string{"Image.Tag", i.Tag}, [2]string{"Image.URL", i.URL})
	}
	if p := s.Package; p != nil {
		add(maxName*4, [2]string{"Package.Name", p.Name}, [2]string{"Package.Version", p.Version})
	}
	if src := s.Source; src != nil {
		add(maxAddress, [2]string{"Source.URL", src.URL})
		add(maxName*4, [2]string{"Source.Kind", src.Kind}, [2]string{"Source.Branch", src.Branch},
			[2]string{"Source.Dir", src.Dir}, [2]string{"Source.Dockerfile", src.Dockerfile})
	}
	for i, a := range s.Addresses {
		errs = append(errs, fits(fmt.Sprintf("Addresses[%d]", i), a, maxAddress))
	}
	for i, v := range s.Volumes {
		name := fmt.Sprintf("Volumes[%d].", i)
		add(maxName*4, [2]string{name + "Name", v.Name}, [2]string{name + "Path", v.Path}, [2]string{name + "Server", v.Server},
			[2]string{name + "From", v.From}, [2]string{name + "Secret", v.Secret})
	}
	add(maxName*4, [2]string{"Logs", valueOf(s.Logs)})
	return errors.Join(errs...)
}

// checkEnvironment refuses names that not every system has.
func (s Spec) checkEnvironment() error {
	for name := range s.Environment {
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return invalid("Environment", "has the name %q: it is of printable ASCII, without spaces", cut(name, maxName))
		}
	}
	return errors.Join(checkMap("Environment", s.Environment), checkMap("Extra", s.Extra))
}

// checkSent refuses what would be no request of a probe.
func (h *Health) checkSent() error {
	errs := []error{plain("Health.Path", h.Path, maxAddress), plain("Health.Host", h.Host, maxName)}
	if strings.ContainsAny(h.Path, " #") || strings.ContainsAny(h.Host, " /?#@") {
		errs = append(errs, invalid("Health", "has a Path or a Host with a character that none has"))
	}
	for name, value := range h.Headers {
		errs = append(errs, token("Health.Headers", name), plain("Health.Headers."+cut(name, maxName), value, maxAddress))
	}
	return errors.Join(errs...)
}
