package rollout

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

func (h Hook) timeout() time.Duration { return cmp.Or(h.Timeout, 10*time.Minute) }

// hooks runs those that are not done yet. What was begun when its process died
// runs again.
func (r *runner) hooks(when string, hooks []Hook) error {
	for _, h := range hooks {
		name := when + "/" + h.Name
		if r.now.Hooks[name] {
			continue
		}
		if err := r.hook(name, h); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) hook(name string, h Hook) error {
	if err := r.forward(); err != nil {
		return err
	}
	if err := r.noteHook(name, false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ahead, h.timeout())
	err := h.Do(ctx, r.k.run.Clone())
	cancel()
	if err != nil {
		if cause := r.forward(); cause != nil {
			return cause
		}
		return fmt.Errorf("hook %q: %w", h.Name, err)
	}
	return r.noteHook(name, true)
}

// noteHook writes that a hook is begun, or done.
func (r *runner) noteHook(name string, done bool) error {
	what := "hook " + name + " begins"
	if done {
		what = "hook " + name + " is done"
	}
	return r.note(EventProgress, what, func(*Run, *Service) {
		if r.now.Hooks == nil {
			r.now.Hooks = map[string]bool{}
		}
		r.now.Hooks[name] = done
	})
}

// note writes something about the run that is no other state.
func (r *runner) note(kind EventKind, message string, change func(*Run, *Service)) error {
	kept := r.now
	err := r.k.save(func(run *Run, svc *Service) ([]Event, error) {
		r.now = kept.separate()
		change(run, svc)
		r.now.put(run)
		return []Event{{Kind: kind, Message: message}}, nil
	})
	if err != nil {
		r.now = kept
	}
	r.noticed()
	return err
}
