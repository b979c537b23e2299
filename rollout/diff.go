package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// mask stands for a value that may be secret.
const mask = "***"

// Masked returns s with what may be secret masked: the arguments of commands,
// but for the program, the values of Environment, of headers of Health and of
// queries in addresses and Health.Path, and credentials in them.
func (s Spec) Masked() Spec {
	s = s.Clone()
	maskArguments(s.Command)
	for name := range s.Environment {
		s.Environment[name] = mask
	}
	if s.Health != nil {
		for name := range s.Health.Headers {
			s.Health.Headers[name] = mask
		}
		s.Health.Path = maskURL(s.Health.Path)
	}
	if s.Archive != nil {
		s.Archive.URL = maskURL(s.Archive.URL)
		maskArguments(s.Archive.Command)
	}
	if s.Image != nil {
		s.Image.URL, s.Image.Repository = maskURL(s.Image.URL), maskURL(s.Image.Repository)
	}
	if s.Source != nil {
		s.Source.URL = maskURL(s.Source.URL)
	}
	for name, value := range s.Extra {
		s.Extra[name] = maskURL(value)
	}
	return s
}

// maskArguments leaves what names the program.
func maskArguments(command []string) {
	for i := range command[min(1, len(command)):] {
		command[i+1] = mask
	}
}

// Masked returns s with the values that Rules look for masked: they may be secret.
func (s Split) Masked() Split {
	s = s.Clone()
	for i := range s.Rules {
		s.Rules[i].Match = s.Rules[i].Match.masked()
	}
	return s
}

// Masked returns s with the values that Match looks for masked: they may be secret.
func (s Step) Masked() Step {
	s.Match = each(s.Match, Match.masked)
	return s
}

func (m Match) masked() Match {
	if m.Value != "" {
		m.Value = mask
	}
	return m
}

// maskURL masks credentials and the values of a query. It knows URLs, the
// addresses of repositories that ssh knows, and names of images; what is none of
// these it masks too much of rather than too little.
func maskURL(text string) string {
	address, query, asks := strings.Cut(text, "?")
	scheme, rest := "", address
	if i := strings.Index(address, "://"); i >= 0 {
		scheme, rest = address[:i+3], address[i+3:]
	}
	place := rest
	if i := strings.IndexAny(rest, "/#"); i >= 0 {
		place = rest[:i]
	}
	secret := strings.LastIndex(place, "@")
	if _, port, has := strings.Cut(place, ":"); secret < 0 && scheme != "" && has && strings.Trim(port, "0123456789") != "" {
		secret = strings.LastIndex(rest, "@") // a password may have a slash
	}
	if secret >= 0 {
		rest = mask + rest[secret:]
	}
	if !asks {
		return scheme + rest
	}
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, pair := range pairs {
		if name, _, valued := strings.Cut(pair, "="); valued {
			pairs[i] = name + "=" + mask
		} else {
			pairs[i] = mask
		}
	}
	return scheme + rest + "?" + strings.Join(pairs, "&")
}

// field is a part of a content: what is compared, and what people see of it.
type field struct {
	name        string
	value, show any
	inPlace     bool // a change of it makes no revision
}

func (s Spec) fields() []field {
	m := s.Masked()
	all := []field{
		{"Command", s.Command, m.Command, false},
		{"Archive", s.Archive, m.Archive, false},
		{"Image", s.Image, m.Image, false},
		{"Package", s.Package, m.Package, false},
		{"Source", s.Source, m.Source, false},
		{"Addresses", s.Addresses, m.Addresses, false},
		{"Port", s.Port, m.Port, false},
		{"Health", s.Health, m.Health, false},
		{"CPU", s.CPU, m.CPU, false},
		{"Memory", s.Memory, m.Memory, false},
		{"Volumes", s.Volumes, m.Volumes, false},
		{"Logs", s.Logs, m.Logs, false},
		{"Path", s.Path, m.Path, false},
		{"MinReplicas", s.MinReplicas, m.MinReplicas, true},
		{"MaxReplicas", s.MaxReplicas, m.MaxReplicas, true},
		{"Scaling", s.Scaling, m.Scaling, true},
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		all = append(all, field{"Environment." + name, s.Environment[name], mask, false})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Extra)) {
		all = append(all, field{"Extra." + name, s.Extra[name], m.Extra[name], false})
	}
	return all
}

// written is a value as people see it: "" for what is not set.
func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil || string(text) == "null" {
		return ""
	}
	if s, ok := v.(string); ok {
		return s
	}
	if unquoted, err := strconv.Unquote(string(text)); err == nil {
		return unquoted
	}
	return string(text)
}

// changes are the fields in which two complete contents differ.
func (s Spec) changes(was Spec) (diff []Difference, inPlace bool) {
	before, inPlace := map[string]field{}, true
	for _, f := range was.fields() {
		before[f.name] = f
	}
	add := func(name string, from, to, showFrom, showTo any, place bool) {
		if written(from) != written(to) {
			diff = append(diff, Difference{Field: name, From: written(showFrom), To: written(showTo)})
			inPlace = inPlace && place
		}
	}
	for _, f := range s.fields() {
		b, found := before[f.name]
		delete(before, f.name)
		if !found {
			b = field{inPlace: f.inPlace}
		}
		if !found && f.value == "" { // set to nothing is not the same as not set
			diff, inPlace = append(diff, Difference{Field: f.name, To: written(f.show)}), false
			continue
		}
		add(f.name, b.value, f.value, b.show, f.show, f.inPlace)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		diff, inPlace = append(diff, Difference{Field: name, From: written(before[name].show)}), false
	}
	return diff, inPlace
}

// needsRevision reports whether something changes that no replica can take on.
func (s Spec) needsRevision(was Spec) bool {
	_, inPlace := s.changes(was)
	return !inPlace
}

// differences are what changes for people.
func (in *intent) differences() []Difference {
	var diff []Difference
	add := func(name, from, to string) {
		if from != to {
			diff = append(diff, Difference{Field: name, From: from, To: to})
		}
	}
	version, share, remark := "", "", ""
	if in.from != nil {
		version, remark = in.from.ID.Version, in.from.Remark
		share = strconv.Itoa(in.service.Split.percent(in.from.ID.Run))
	}
	add("Version", version, in.to.Version)
	add("Share", share, strconv.Itoa(in.share))
	if in.request.Remark != "" {
		add("Remark", remark, in.request.Remark)
	}
	content, _ := in.spec.changes(in.was)
	return append(diff, content...)
}

// id names what would be done: the same in every process, before and after an
// engine has kept it, and whatever the numbers of replicas are.
func (in *intent) id() string {
	var from RevisionID
	if in.from != nil {
		from = in.from.ID
	}
	text, _ := json.Marshal(struct { // of texts, numbers and times only
		From, To RevisionID
		Made     bool
		Spec     Spec
		Split    []Weight
		Strategy Strategy
		Undoes   string
		Remark   string
	}{from, in.to, in.made, in.spec, in.aim.After.Weights, in.strategy, in.undoes, in.request.Remark})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}
