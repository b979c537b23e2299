package firmware

import (
	"maps"
	"slices"
	"time"
)

// Catalog is the signed list of releases.
type Catalog struct {
	Product  string
	Number   int64 // rises; a lower one than was accepted is ErrReplayed
	Issued   time.Time
	Expires  time.Time // then ErrExpired
	Releases []Release // newest first
}

// Clone returns a copy that shares nothing with c that could change.
func (c Catalog) Clone() Catalog {
	c.Releases = slices.Clone(c.Releases)
	for i, r := range c.Releases {
		c.Releases[i] = r.Clone()
	}
	return c
}

// utc returns c with its times as every engine returns them.
func (c Catalog) utc() Catalog {
	c = c.Clone()
	c.Issued, c.Expires = c.Issued.UTC(), c.Expires.UTC()
	for i := range c.Releases {
		c.Releases[i].Time = c.Releases[i].Time.UTC()
	}
	return c
}

// Release is a version of the firmware.
type Release struct {
	Version    string
	Prerelease bool
	Time       time.Time
	Epoch      int64    // of security: below the floor it is ErrDowngrade
	Hardware   []string // revisions that it fits; empty: any
	MinFrom    string   // oldest version that it can replace; "": any
	// Cohort is the share of devices, in percent, that are offered it without
	// asking for it; 0: all. A device that is in stays in when it grows, and
	// its place is another one for every release.
	Cohort int
	Size   int64    // of the image, in bytes
	Digest [32]byte // SHA-256 of the image: what tells two releases apart
	Index  Object
	Meta   map[string]string // handed to Slots: dm-verity root hash, kernel arguments ...
}

// Clone returns a copy that shares nothing with r that could change.
func (r Release) Clone() Release {
	r.Hardware = slices.Clone(r.Hardware)
	r.Meta = maps.Clone(r.Meta)
	return r
}

// Bundle is one release to be brought by hand: the head of the file, which is
// signed.
type Bundle struct {
	Product string
	Issued  time.Time
	Expires time.Time
	Release Release
}

// Object is an object of a Feed, by its digest.
type Object struct {
	Name   string
	Size   int64    // in bytes
	Digest [32]byte // SHA-256
}
