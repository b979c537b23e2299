package step

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/upkeep-go/upkeep/internal/fetch"
)

// attempt asks for what is missing and receives it. It reports whether the
// file is complete; a fetch.Passing says that another attempt may do better.
func (d *download) attempt(ctx context.Context) (complete bool, err error) {
	address, err := artifactURL(d.task.Release.URL)
	if err != nil {
		return false, err
	}
	if address.Scheme == "file" {
		return d.copyFile(ctx, address)
	}
	var first int64
	if d.kept.ETag != "" && !d.rangeless {
		first = d.sums.size
	}
	client := fetch.Client{HTTP: d.Client, Header: d.Header, Stall: d.Stall, AllowHTTP: true}
	part, err := client.Get(ctx, address, first, -1, d.kept.ETag)
	if err != nil {
		err = fmt.Errorf("step: %w", err)
	}
	if errors.Is(err, fetch.ErrRange) {
		return false, d.mistrust(err)
	}
	if err != nil {
		return false, err
	}
	defer part.Body.Close()
	if part.First == 0 {
		err = d.acceptWhole(ctx, part)
	} else {
		err = d.acceptPart(part)
	}
	if err != nil {
		return false, err
	}
	if err := d.receive(part.Body); err != nil {
		return false, err
	}
	if d.total > 0 && d.sums.size < d.total {
		return false, &fetch.Passing{Err: fmt.Errorf("step: the answer ended after %d of %d bytes", d.sums.size, d.total)}
	}
	return true, nil
}

// copyFile is an attempt whose server is a file.
func (d *download) copyFile(ctx context.Context, address *url.URL) (bool, error) {
	f, err := os.Open(fetch.File(address))
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := d.begin(ctx, ""); err != nil {
		return false, err
	}
	return true, d.receive(steady(ctx, f, func(int64) {}))
}

// acceptWhole begins anew with an answer that has all of the artifact.
func (d *download) acceptWhole(ctx context.Context, whole fetch.Part) error {
	size := d.task.Release.Size
	switch {
	case whole.Total < 0:
		d.total = size
	case size > 0 && whole.Total != size:
		return fmt.Errorf("step: the server has %d bytes, not %d", whole.Total, size)
	case whole.Total > d.limit():
		return fmt.Errorf("step: the server has %d bytes, at most %d are allowed", whole.Total, d.limit())
	default:
		d.total = whole.Total
	}
	return d.begin(ctx, whole.ETag)
}

// acceptPart goes on with an answer that begins where the file ends.
func (d *download) acceptPart(part fetch.Part) error {
	if part.Total > d.limit() || d.total > 0 && part.Total != d.total {
		return d.mistrust(fmt.Errorf("step: the server answered with a part of %d bytes", part.Total))
	}
	d.total, d.spliced = part.Total, true
	return nil
}

// mistrust drops what there is, so that the next attempt begins anew, without
// a range.
func (d *download) mistrust(why error) error {
	d.rangeless = true
	if err := d.drop(); err != nil {
		return err
	}
	return &fetch.Passing{Err: why}
}
