package sync

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// stage writes what is to be placed, so that all of it is there before anything
// is changed, and a file that proves it.
func (w *work) stage(ctx context.Context, all *changes, proof string) error {
	if all.n > 0 {
		if err := w.stageAll(ctx, all); err != nil {
			return err
		}
	}
	f := File{Path: w.stagedAs(proof), Mode: 0o600, ModTime: w.put}
	if err := w.Files.Stage(ctx, f, strings.NewReader("")); err != nil {
		return err
	}
	return w.Files.Flush(ctx)
}

func (w *work) stageAll(ctx context.Context, all *changes) error {
	if err := w.forest.live.read(ctx); err != nil {
		return err
	}
	here := make(map[tree.ID]string)
	var coming tally
	fits := w.fitting()
	for c, err := range all.each(ctx) {
		if err != nil {
			return err
		}
		if fits(c) {
			coming.count(c)
			w.offers(here, c)
		}
	}
	w.tell.begin(StepDownload, coming.files, coming.bytes)
	together := w.Room / 1536 // in the order in which their contents are in the packs
	var some []tree.Change
	for c, err := range all.each(ctx) {
		if err != nil {
			return err
		}
		if c.New != nil && !w.failed(c.Path) {
			some = append(some, c)
		}
		if len(some) >= together {
			if err := w.stageSome(ctx, here, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return w.stageSome(ctx, here, some)
}

func (w *work) stageSome(ctx context.Context, paths map[tree.ID]string, some []tree.Change) error {
	here, some := sourcesOf(w, paths, some)
	defer here.begun.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	for _, c := range some {
		f := File{Path: w.staged(c.Path), Size: c.New.Size, Link: c.New.Link, ModTime: time.Unix(0, c.New.Time), Mode: fs.FileMode(c.New.Mode)}
		var content io.ReadCloser
		switch c.New.Kind {
		case tree.Folder:
			f.Mode |= fs.ModeDir
		case tree.Link:
			f.Mode |= fs.ModeSymlink
		default:
			content = here.open(ctx, c)
		}
		if err := w.bring(ctx, c.Path, f, content); err != nil {
			return fmt.Errorf("file %q: %w", c.Path, err)
		}
		if c.New.Kind != tree.Folder {
			w.tell.done(c.Path, 1, c.New.Size)
		}
	}
	return nil
}
