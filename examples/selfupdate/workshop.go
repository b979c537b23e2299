package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const module = "github.com/upkeep-go/upkeep"

var exe = map[string]string{"windows": ".exe"}[runtime.GOOS]

// workshop is where releases are made: what the publisher's machine would be.
type workshop struct {
	dir  string
	keys map[string]string // public keys, by the name of the private one's file
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

// build makes the program of a release.
func (w *workshop) build(ctx context.Context, r release, file string) error {
	set := "-s -w"
	for name, value := range map[string]string{
		"version": r.version, "fault": r.fault, "within": r.within, "manifestKey": w.keys["manifest"], "artifactKey": w.keys["artifacts"],
	} {
		if value != "" {
			set += " -X main." + name + "=" + value
		}
	}
	return w.gobuild(ctx, set, file, "examples/selfupdate/app")
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
	data, err := os.ReadFile(filepath.Join(w.published(), r.artifact()))
	if err != nil {
		return err
	}
	return os.WriteFile(program, data, 0o755)
}

// artifact is the file of the release for this system.
func (r release) artifact() string {
	return fmt.Sprintf("app_%s_%s_%s%s", r.version, runtime.GOOS, runtime.GOARCH, exe)
}

// publish makes a release and adds it to the manifest.
func (w *workshop) publish(ctx context.Context, r release) error {
	file, signer := filepath.Join(w.published(), r.artifact()), "artifacts.key"
	var err error
	if r.forged { // a stranger has no source of it, and any program will do: it is never run
		signer = "stranger.key"
		err = os.Link(filepath.Join(w.published(), releases[0].artifact()), file)
	} else {
		err = w.build(ctx, r, file)
	}
	if err != nil {
		return err
	}
	add := []string{"add", "-manifest", "published/manifest.json", "-key", "manifest.key", "-artifact-key", signer,
		"-product", "demo/app", "-version", r.version, filepath.Join("published", r.artifact())}
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
