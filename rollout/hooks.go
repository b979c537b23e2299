package rollout

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"
)

func (h Hook) timeout() time.Duration { return cmp.Or(h.Timeout, 10*time.Minute) }

// hooks runs those that are not done yet. What was begun when its process died
// runs again. Unless they must succeed, an error is only noted.
func (r *runner) hooks(when string, hooks []Hook, must bool) error {
	for _, h := range hooks {
		name := when + "/" + h.Name
		if r.now.Hooks[name] {
			continue
		}
		if err := r.hook(name, h, must); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) hook(name string, h Hook, must bool) error {
	if err := r.returns("hook "+name, h.timeout()); err != nil {
		return err
	}
	if err := r.forward(); err != nil {
		return err
	}
	if err := r.noteHook(name, false, "begins"); err != nil {
		return err
	}
	run := r.k.run.Clone()
	err := r.ask("hook "+name, h.timeout(), func(ctx context.Context) error { return h.Do(ctx, run) }, never)
	if err != nil {
		if cause := r.forward(); cause != nil {
			return cause
		}
		if unwritten(err) {
			return err
		}
		if err = fmt.Errorf("hook %q: %w", h.Name, err); must {
			return err
		}
		r.c.log(slog.LevelError, "goes on", *r.k.run, "err", err)
		return r.noteHook(name, true, "has failed: "+err.Error())
	}
	return r.noteHook(name, true, "is done")
}

// noteHook writes that a hook is begun, or done.
func (r *runner) noteHook(name string, done bool, what string) error {
	return r.note(EventProgress, "hook "+name+" "+what, func(*Run, *Service) {
		if r.now.Hooks == nil {
			r.now.Hooks = map[string]bool{}
		}
		r.now.Hooks[name] = done
	})
}

// note writes something about the run that is no other state, with an event
// unless that has no kind.
func (r *runner) note(kind EventKind, message string, change func(*Run, *Service)) error {
	kept := r.now
	err := r.k.save(func(run *Run, svc *Service) ([]Event, error) {
		r.now = kept.separate()
		change(run, svc)
		r.now.put(run)
		if kind == "" {
			return nil, nil
		}
		return []Event{{Kind: kind, Message: message}}, nil
	})
	if err != nil {
		r.now = kept
	}
	r.noticed()
	return err
}
