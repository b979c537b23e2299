package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

const module = "github.com/upkeep-go/upkeep"

var exe = map[string]string{"windows": ".exe"}[runtime.GOOS]

// workshop is where releases are made: what the publisher's machine would be.
type workshop struct {
	dir  string
	keys map[string]string // public keys, by the name of the private one's file
	// built has an error, or nil, once the program of a version is there.
	built map[string]chan error
}

func (w *workshop) published() string { return filepath.Join(w.dir, "published") }

// open builds the command that signs and makes the keys.
func (w *workshop) open(ctx context.Context) error {
	if err := os.MkdirAll(w.published(), 0o755); err != nil {
		return err
	}
	if err := w.gobuild(ctx, "", filepath.Join(w.dir, "upkeep-manifest"+exe), "update/source/cmd/upkeep-manifest"); err != nil {
		return err
	}
	w.keys = map[string]string{}
	for _, name := range []string{"manifest", "artifacts", "stranger"} {
		if err := w.sign(ctx, "keygen", "-key", name+".key"); err != nil {
			return err
		}
		key, err := os.ReadFile(filepath.Join(w.dir, name+".pub"))
		if err != nil {
			return err
		}
		w.keys[name] = strings.TrimSpace(string(key))
	}
	return nil
}

// buildAll makes the programs of all releases, two at a time, and returns at
// once: the first are published while the others are being built.
func (w *workshop) buildAll(ctx context.Context, work *sync.WaitGroup) {
	w.built = map[string]chan error{}
	queue := make(chan release, 1+len(releases))
	for _, r := range append([]release{oldest}, releases...) {
		if !r.forged {
			w.built[r.version] = make(chan error, 1)
			queue <- r
		}
	}
	close(queue)
	for range 2 {
		work.Go(func() {
			for r := range queue {
				w.built[r.version] <- w.build(ctx, r)
			}
		})
	}
}

// build makes the program of a release.
func (w *workshop) build(ctx context.Context, r release) error {
	set := "-s -w"
	for name, value := range map[string]string{
		"version": r.version, "fault": r.fault, "within": r.within, "manifestKey": w.keys["manifest"], "artifactKey": w.keys["artifacts"],
	} {
		if value != "" {
			set += " -X main." + name + "=" + value
		}
	}
	return w.gobuild(ctx, set, w.artifact(r), "examples/selfupdate/app")
}

func (w *workshop) gobuild(ctx context.Context, ldflags, file, pkg string) error {
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", ldflags, "-o", file, module+"/"+pkg)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, out)
	}
	return nil
}

// install publishes a release and copies its program, as a person does who
// installs it by hand.
func (w *workshop) install(ctx context.Context, r release, program string) error {
	if err := w.publish(ctx, r); err != nil {
		return err
	}
	data, err := os.ReadFile(w.artifact(r))
	if err != nil {
		return err
	}
	return os.WriteFile(program, data, 0o755)
}

// artifact is the file of the release for this system.
func (w *workshop) artifact(r release) string {
	return filepath.Join(w.published(), fmt.Sprintf("app_%s_%s_%s%s", r.version, runtime.GOOS, runtime.GOARCH, exe))
}

// publish waits for the program of a release, and adds it to the manifest.
func (w *workshop) publish(ctx context.Context, r release) error {
	file, signer := w.artifact(r), "artifacts.key"
	var err error
	if r.forged { // a stranger has no source of it, and any program will do: it is never run
		signer = "stranger.key"
		err = os.Link(w.artifact(releases[0]), file)
	} else {
		err = <-w.built[r.version]
	}
	if err != nil {
		return err
	}
	add := []string{"add", "-manifest", "published/manifest.json", "-key", "manifest.key", "-artifact-key", signer,
		"-product", "demo/app", "-version", r.version, filepath.Join("published", filepath.Base(file))}
	fmt.Printf("release %s %s\n$ upkeep-manifest %s\n", r.version, r.what, strings.Join(add, " "))
	return w.sign(ctx, add...)
}

// sign runs upkeep-manifest in the workshop.
func (w *workshop) sign(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.dir, "upkeep-manifest"+exe), args...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("upkeep-manifest %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
