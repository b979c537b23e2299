package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// add publishes an image.
func (t tool) add(args []string) error {
	f := t.Flags("add -version version [flags] image",
		"Add publishes an image, and tells what it costs a device that has the release\n"+
			"before to get it. The first time it makes the feed.")
	p := publishingFlags(f)
	var r firmware.Release
	f.StringVar(&r.Version, "version", "", "the `version`; required")
	f.BoolVar(&r.Prerelease, "prerelease", false, "only for devices that want pre-releases")
	f.Int64Var(&r.Epoch, "epoch", 0, "of security: a device that has run this goes below it no more")
	f.StringVar(&r.MinFrom, "min-from", "", "lowest `version` that it can replace")
	f.IntVar(&r.Cohort, "cohort", 0, "share of devices in percent that are offered it; 0 for all")
	hardware := f.List("hardware", "", "a `revision` that it fits; repeat it for several; default: any")
	meta := f.List("meta", "", "`name=value` for the boot loader; repeat it for several")
	patches := f.Int("patches", 5, "from how many earlier releases to make patches; negative: none")
	segment := f.Int64("segment", 1<<20, "`bytes` of the image that are packed at a time; a device needs memory for five times as many, three times over")
	if err := f.Parse(args, 1); err != nil {
		return err
	}
	switch {
	case r.Version == "":
		return f.Wrong("-version is missing")
	case f.NArg() == 0:
		return f.Wrong("there is no file to add")
	}
	r.Hardware, r.Meta = hardware.Values, map[string]string{}
	for _, pair := range meta.Values {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return f.Wrong("-meta %q is not name=value", pair)
		}
		r.Meta[name] = value
	}
	publisher, err := t.publisher(p)
	if err != nil {
		return err
	}
	publisher.Patches, publisher.SegmentSize = *patches, *segment
	if *patches == 0 {
		publisher.Patches = -1
	}
	return t.publish(publisher, r, f.Arg(0))
}

func (t tool) publish(p feed.Publisher, r firmware.Release, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	image, err := contentOf(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t.warnOfVersion(r)
	cost, err := p.Add(t.ctx, r, image)
	if errors.Is(err, firmware.ErrExists) {
		err = fmt.Errorf("%w: to replace it remove it first", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Out, "%s: %d bytes\n", r.Version, image.Size())
	for _, way := range []firmware.Way{firmware.WayPatch, firmware.WayChunks, firmware.WayZstd} {
		if n, is := cost[way]; is {
			fmt.Fprintf(t.Out, "  by %-6s %12d bytes, %5.1f %%\n", way, n, 100*float64(n)/float64(image.Size()))
		}
	}
	if patch, is := cost[firmware.WayPatch]; is && float64(patch) > 0.9*float64(cost[firmware.WayZstd]) {
		t.Warn("a patch saves less than 10 %%: make the image uncompressed, the feed compresses it")
	}
	return nil
}

// warnOfVersion says how a version sorts where that may surprise.
func (t tool) warnOfVersion(r firmware.Release) {
	v, err := version.NewVersion(r.Version)
	if err != nil || v.Prerelease() == "" {
		return
	}
	t.Warn("version %q sorts below %s, as its pre-release %s", r.Version, v.Core(), v)
	if !r.Prerelease {
		t.Warn("without -prerelease every device is offered it all the same")
	}
}
