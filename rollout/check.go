package rollout

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of what a request may ask for.
const (
	maxReplicas  = 1000
	maxSteps     = 100
	maxRules     = 1000
	maxFields    = 1000           // environment, headers, volumes, further fields
	maxValue     = 128 << 10      // bytes of a value, a command, an address
	maxCPU       = 1024           // cores
	maxMemory    = int64(1) << 44 // bytes
	maxDuration  = 30 * 24 * time.Hour
	maxCookieAge = 400 * 24 * time.Hour // browsers keep none for longer
	latest       = "latest"
	ownAnalysis  = "traffic"
	maxPortValue = 65535
)

// invalid is the ErrInvalid that names the field and its limit.
func invalid(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrInvalid, field, fmt.Sprintf(format, args...))
}

func within[T int | int64 | float64](field string, value, least, most T) error {
	if !(value >= least && value <= most) { // NaN is not
		return invalid(field, "%v is not from %v to %v", value, least, most)
	}
	return nil
}

func lasts(field string, d time.Duration) error {
	if d < 0 || d > maxDuration {
		return invalid(field, "%s is not from 0 to %s", d, maxDuration)
	}
	return nil
}

// check refuses a request that can never be met, whatever the service is.
func (r Request) check() error {
	if err := r.Service.check(); err != nil {
		return err
	}
	for field, value := range map[string]string{
		"Replace": r.Replace, "Version": r.Version, "Snapshot": r.Snapshot, "RequestID": r.By.RequestID, "Plan": r.Plan,
	} {
		if err := plain(field, value, maxName); err != nil {
			return err
		}
	}
	if err := fits("Remark", r.Remark, maxReason); err != nil {
		return err
	}
	if r.Version == latest {
		return invalid("Version", "%q is no name of a version", latest)
	}
	if r.Share != nil {
		if err := within("Share", *r.Share, 0, 100); err != nil {
			return err
		}
	}
	if r.Strategy != nil {
		return r.Strategy.check("Strategy")
	}
	return nil
}

func (s ServiceID) check() error {
	if s.Name == "" {
		return fmt.Errorf("%w: Service.Name", ErrMissing)
	}
	return errors.Join(plain("Service.Name", s.Name, maxName), plain("Service.Env", s.Env, maxName))
}

// check refuses a complete content that no Deployer could hold to.
func (s Spec) check() error {
	kinds := 0
	for _, set := range []bool{len(s.Command) > 0, s.Archive != nil, s.Image != nil, s.Package != nil, s.Source != nil, len(s.Addresses) > 0} {
		if set {
			kinds++
		}
	}
	if kinds > 1 {
		return invalid("Spec", "has more than one of Command, Archive, Image, Package, Source and Addresses")
	}
	return errors.Join(
		s.checkArtifact(), s.checkNumbers(), s.Health.check(), s.checkVolumes(),
		s.checkTexts(), s.checkEnvironment(), checkPath("Path", *s.Path), s.checkScaling(),
	)
}

func (s Spec) checkArtifact() error {
	if len(s.Command) > 0 && s.Command[0] == "" {
		return invalid("Command", "has no program")
	}
	if a := s.Archive; a != nil && (a.URL == "" || len(a.Digest) != sha256.Size) {
		return invalid("Archive", "needs a URL, and a Digest of %d bytes", sha256.Size)
	}
	if i := s.Image; i != nil && i.Repository == "" && i.URL == "" {
		return invalid("Image", "needs a Repository or a URL")
	}
	if p := s.Package; p != nil && p.Name == "" {
		return invalid("Package", "needs a Name")
	}
	if src := s.Source; src != nil {
		if src.URL == "" {
			return invalid("Source", "needs a URL")
		}
		for field, path := range map[string]string{"Source.Dir": src.Dir, "Source.Dockerfile": src.Dockerfile} {
			if slices.Contains(strings.Split(path, "/"), "..") {
				return invalid(field, "%q leaves the source", path)
			}
		}
	}
	return s.checkAddresses()
}

func (s Spec) checkAddresses() error {
	if err := within("Addresses", len(s.Addresses), 0, maxReplicas); err != nil {
		return err
	}
	for i, a := range s.Addresses {
		switch {
		case strings.HasPrefix(a, "https:"):
			return invalid(fmt.Sprintf("Addresses[%d]", i), "is https, which is not spoken to services: http alone is")
		case !isAddress(a):
			return invalid(fmt.Sprintf("Addresses[%d]", i), "is no http URL of scheme, host and path alone")
		case slices.Contains(s.Addresses[:i], a):
			return invalid("Addresses", "has %q twice", a)
		}
	}
	return nil
}

func (s Spec) checkNumbers() error {
	errs := []error{
		within("MinReplicas", *s.MinReplicas, 0, maxReplicas),
		within("MaxReplicas", *s.MaxReplicas, 1, maxReplicas),
	}
	if *s.MaxReplicas < *s.MinReplicas {
		errs = append(errs, invalid("MaxReplicas", "%d is less than MinReplicas %d", *s.MaxReplicas, *s.MinReplicas))
	}
	if s.Port != nil {
		errs = append(errs, within("Port", *s.Port, 1, maxPortValue))
	}
	if s.CPU != nil {
		errs = append(errs, within("CPU", *s.CPU, math.SmallestNonzeroFloat64, maxCPU))
	}
	if s.Memory != nil {
		errs = append(errs, within("Memory", *s.Memory, 1, maxMemory))
	}
	return errors.Join(errs...)
}

func (h *Health) check() error {
	if !strings.HasPrefix(h.Path, "/") {
		return invalid("Health.Path", "%q does not begin with /", h.Path)
	}
	if h.Status != 0 {
		if err := within("Health.Status", h.Status, 100, 599); err != nil {
			return err
		}
	}
	return errors.Join(
		lasts("Health.Delay", h.Delay), lasts("Health.Interval", h.Interval), lasts("Health.Timeout", h.Timeout),
		checkMap("Health.Headers", h.Headers), h.checkSent(),
	)
}

func (s Spec) checkVolumes() error {
	if len(s.Volumes) > maxFields {
		return invalid("Volumes", "are %d, at most %d are allowed", len(s.Volumes), maxFields)
	}
	for _, v := range s.Volumes {
		if !strings.HasPrefix(v.Path, "/") || slices.Contains(strings.Split(v.Path, "/"), "..") {
			return invalid("Volumes", "%q is no absolute path", v.Path)
		}
	}
	return nil
}

func (s Spec) checkScaling() error {
	if err := within("Scaling", len(s.Scaling), 0, maxScaling); err != nil {
		return err
	}
	for _, sc := range s.Scaling {
		if sc.Resource != "cpu" && sc.Resource != "mem" {
			return invalid("Scaling", "%q is neither cpu nor mem", sc.Resource)
		}
		if err := within("Scaling.Threshold", sc.Threshold, 1, 100); err != nil {
			return err
		}
	}
	return nil
}

// checkPath refuses a path that no cookie can be for.
func checkPath(field, path string) error {
	odd := func(r rune) bool { return r < ' ' || r >= 0x7f || r == ';' }
	if !strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path, "/"), "..") || strings.ContainsFunc(path, odd) {
		return invalid(field, "%.80q is no absolute path of ASCII without ;", path)
	}
	return fits(field, path, maxName*4)
}

func checkMap(field string, m map[string]string) error {
	if len(m) > maxFields {
		return invalid(field, "has %d entries, at most %d are allowed", len(m), maxFields)
	}
	sum := 0
	for name, value := range m {
		if sum += len(name) + len(value); sum > maxTotal {
			return invalid(field, "has more than %d bytes", maxTotal)
		}
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return invalid(field, "has an entry that cannot be passed on")
		}
		if err := errors.Join(fits(field, name, maxName*4), fits(field, value, maxValue)); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a strategy that leads nowhere.
func (s Strategy) check(field string) error {
	if err := within(field+".Steps", len(s.Steps), 0, maxSteps); err != nil {
		return err
	}
	last := 0
	for i, step := range s.Steps {
		name := fmt.Sprintf("%s.Steps[%d]", field, i)
		if err := errors.Join(
			within(name+".Percent", step.Percent, last, 100), within(name+".Replicas", step.Replicas, 0, maxReplicas),
			lasts(name+".Hold", max(step.Hold, 0)), within(name+".Match", len(step.Match), 0, maxMatches),
			checkMatches(name, step.Match),
		); err != nil {
			return err
		}
		last = step.Percent
	}
	return errors.Join(
		within(field+".Surge", s.Surge, 0, maxReplicas), within(field+".Unavailable", s.Unavailable, 0, maxReplicas),
		lasts(field+".MinReady", s.MinReady), lasts(field+".Deadline", s.Deadline),
		lasts(field+".DrainTimeout", s.DrainTimeout), lasts(field+".KeepOld", max(s.KeepOld, 0)),
		within(field+".Tolerance.Requests", s.Tolerance.Requests, 0, math.MaxInt32),
		within(field+".Tolerance.Errors", s.Tolerance.Errors, 0, 100),
		within(field+".Tolerance.Slow", orOne(s.Tolerance.Slow), 1, 1e6), lasts(field+".Tolerance.SlowBy", s.Tolerance.SlowBy),
		within(field+".Limits.Fail", s.Limits.Fail, 0, 1000),
		within(field+".Limits.Inconclusive", s.Limits.Inconclusive, 0, 1000),
		within(field+".Limits.Error", s.Limits.Error, 0, 1000),
	)
}

// orOne is a factor that says something, or 1.
func orOne(factor float64) float64 {
	if factor <= 0 {
		return 1
	}
	return factor
}

func checkMatches(field string, matches []Match) error {
	for _, m := range matches {
		if one(m.Header, m.Query, m.Cookie) != 1 {
			return invalid(field+".Match", "needs one of Header, Query and Cookie")
		}
		named := plain(field+".Match", m.Query, maxName)
		if m.Query == "" {
			named = token(field+".Match", m.Header+m.Cookie)
		}
		if err := errors.Join(named, plain(field+".Match", m.Value, maxName*4)); err != nil {
			return err
		}
	}
	return nil
}
