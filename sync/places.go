package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// places are the live indexes of a head, once they are needed.
type places struct {
	r     *repository
	names []string
	all   map[string]*index // by name; nil: they were not read yet
}

// places are those of a head. It reads nothing.
func (r *repository) places(h head) *places { return &places{r: r, names: h.Index} }

// read reads the indexes, as far as they are not known.
func (p *places) read(ctx context.Context) error {
	if p.all != nil {
		return nil
	}
	all := make(map[string]*index, len(p.names))
	var missing []string
	for _, name := range p.names {
		if p.r.indexes[name] == nil {
			noted, err := p.r.notes.read(ctx, keyIndex+name)
			if err != nil {
				return err
			}
			if noted == nil {
				missing = append(missing, name)
				continue
			}
			if p.r.indexes[name], err = openIndex(p.r.seal, name, noted); err != nil {
				return err
			}
		}
		all[name] = p.r.indexes[name]
	}
	var one sync.Mutex
	err := p.r.each(ctx, len(missing), func(ctx context.Context, i int) error {
		name := missing[i]
		object, err := p.r.get(ctx, name, maxIndex)
		if err != nil {
			return err
		}
		one.Lock()
		defer one.Unlock()
		x, err := openIndex(p.r.seal, name, object)
		if err != nil {
			return err
		}
		all[name], p.r.indexes[name] = x, x
		return p.r.notes.later(ctx, Entry{keyIndex + name, object})
	})
	if err == nil {
		p.all = all
	}
	return err
}

func openIndex(s Sealer, name string, object []byte) (*index, error) {
	content, err := s.Open(ObjectIndex, name, object, maxIndex)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	x, err := decodeIndex(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return x, nil
}

// known are the indexes, which have been read.
func (p *places) known() map[string]*index {
	if p.all == nil {
		panic("sync: places that were not read")
	}
	return p.all
}

// find returns where a content is.
func (p *places) find(id [32]byte) (pack packed, b Blob, ok bool) {
	for _, x := range p.known() {
		if pack, b, ok := x.find(id); ok {
			return pack, b, true
		}
	}
	return packed{}, Blob{}, false
}

// blobs are what the pack of a name has.
func (p *places) blobs(name string) (in packed, all []Blob) {
	for _, x := range p.known() {
		i := slices.IndexFunc(x.packs, func(k packed) bool { return k.name == name })
		if i < 0 {
			continue
		}
		for _, l := range x.blobs {
			if int(l.pack) == i {
				all = append(all, l.blob())
			}
		}
		return x.packs[i], all
	}
	return packed{}, nil
}

// packs are the names of all packs, in order.
func (p *places) packs() (names []string) {
	for _, x := range p.known() {
		for _, k := range x.packs {
			names = append(names, k.name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	return slices.Compact(names)
}
