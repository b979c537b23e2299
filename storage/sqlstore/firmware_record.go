package sqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/storage"
)

// With omitzero what is empty is written, and what is nil is not: a reader gets
// the one or the other back.

type firmwareDevice struct {
	State       bytesText    `json:"state,omitzero"`
	Info        bytesText    `json:"info,omitzero"`
	Running     firmwareSlot `json:"running,omitzero"`
	Checks      bool         `json:"checks,omitzero"`
	Prereleases bool         `json:"prereleases,omitzero"`
	Kept        bool         `json:"kept,omitzero"`
	CheckTime   time.Time    `json:"check_time,omitzero"`
	CheckReason bytesText    `json:"check_reason,omitzero"`
	CheckCause  bytesText    `json:"check_cause,omitzero"`
	Floor       int64        `json:"floor,omitzero"`
	RolledBack  []digest     `json:"rolled_back,omitzero"`
	Progress    []byte       `json:"progress,omitzero"`
}

type firmwareSlot struct {
	Version bytesText `json:"version,omitzero"`
	Epoch   int64     `json:"epoch,omitzero"`
	Digest  digest    `json:"digest,omitzero"`
	Whole   bool      `json:"whole,omitzero"`
	Run     bytesText `json:"run,omitzero"`
	Tries   int       `json:"tries,omitzero"`
}

type firmwareCatalog struct {
	Product  bytesText         `json:"product,omitzero"`
	Number   int64             `json:"number,omitzero"`
	Issued   time.Time         `json:"issued,omitzero"`
	Expires  time.Time         `json:"expires,omitzero"`
	Releases []firmwareRelease `json:"releases,omitzero"`
	Trust    []byte            `json:"trust,omitzero"`
}

type firmwareRelease struct {
	Version     bytesText         `json:"version,omitzero"`
	Prerelease  bool              `json:"prerelease,omitzero"`
	Time        time.Time         `json:"time,omitzero"`
	Epoch       int64             `json:"epoch,omitzero"`
	Hardware    []bytesText       `json:"hardware,omitzero"`
	MinFrom     bytesText         `json:"min_from,omitzero"`
	Cohort      int               `json:"cohort,omitzero"`
	Size        int64             `json:"size,omitzero"`
	Digest      digest            `json:"digest,omitzero"`
	IndexName   bytesText         `json:"index_name,omitzero"`
	IndexSize   int64             `json:"index_size,omitzero"`
	IndexDigest digest            `json:"index_digest,omitzero"`
	Meta        []pair[bytesText] `json:"meta,omitzero"`
}

type firmwareRun struct {
	From    bytesText       `json:"from,omitzero"`
	Version bytesText       `json:"version,omitzero"`
	Release firmwareRelease `json:"release,omitzero"`
	State   bytesText       `json:"state,omitzero"`
	Percent int             `json:"percent,omitzero"`
	Pulled  []pair[int64]   `json:"pulled,omitzero"`
	Reason  bytesText       `json:"reason,omitzero"`
	Cause   bytesText       `json:"cause,omitzero"`
	Undoes  bytesText       `json:"undoes,omitzero"`
	Cancel  *byRecord       `json:"cancel,omitzero"`
	Apply   *byRecord       `json:"apply,omitzero"`
	Owner   bytesText       `json:"owner,omitzero"`
}

type firmwareRequest struct {
	Version        bytesText `json:"version,omitzero"`
	AllowDowngrade bool      `json:"allow_downgrade,omitzero"`
	Plan           bytesText `json:"plan,omitzero"`
	By             byRecord  `json:"by,omitzero"`
}

type firmwareEvent struct {
	Kind    bytesText `json:"kind,omitzero"`
	State   bytesText `json:"state,omitzero"`
	Device  bytesText `json:"device,omitzero"`
	Percent int       `json:"percent,omitzero"`
	Actor   bytesText `json:"actor,omitzero"`
	Message bytesText `json:"message,omitzero"`
}

// digest is a SHA-256 in a record.
type digest [sha256.Size]byte

// MarshalText writes it in hexadecimal.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText takes back what MarshalText did.
func (d *digest) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(d) {
		return fmt.Errorf("a digest of %d characters", len(text))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// pair is an entry of a map whose keys are any bytes.
type pair[V any] struct {
	Key   bytesText `json:"key,omitzero"`
	Value V         `json:"value,omitzero"`
}

// pairsOf returns the entries of a map in their order.
func pairsOf[K ~string, V, T any](m map[K]V, as func(V) T) (pairs []pair[T]) {
	if m == nil {
		return nil
	}
	pairs = []pair[T]{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, pair[T]{bytesText(key), as(m[key])})
	}
	return pairs
}

func mapOf[K ~string, V, T any](pairs []pair[T], as func(T) V) (m map[K]V) {
	if pairs == nil {
		return nil
	}
	m = make(map[K]V, len(pairs))
	for _, p := range pairs {
		m[K(p.Key)] = as(p.Value)
	}
	return m
}

// converted returns a list of others, which is nil only if this one is.
func converted[T, U any](all []T, as func(T) U) (others []U) {
	if all == nil {
		return nil
	}
	others = make([]U, len(all))
	for i, v := range all {
		others[i] = as(v)
	}
	return others
}

func toBytes(s string) bytesText  { return bytesText(s) }
func toString(t bytesText) string { return string(t) }
func same[T any](v T) T           { return v }

func optional[T, U any](v *T, as func(T) U) *U {
	if v == nil {
		return nil
	}
	u := as(*v)
	return &u
}

// damaged is why a record of package firmware cannot be read.
func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", firmware.ErrCorrupt, err)
}

func deviceOf(r firmware.Record) firmwareDevice {
	return firmwareDevice{
		State: bytesText(r.Device), Info: bytesText(r.Info), Running: firmwareSlot{
			Version: bytesText(r.Running.Version), Epoch: r.Running.Epoch, Digest: r.Running.Digest,
			Whole: r.Running.Whole, Run: bytesText(r.Running.Run), Tries: r.Running.Tries,
		},
		Checks: r.Settings.Checks, Prereleases: r.Settings.Prereleases, Kept: r.Kept,
		CheckTime: r.Check.Time.UTC(), CheckReason: bytesText(r.Check.Reason), CheckCause: bytesText(r.Check.Cause),
		Floor: r.Floor, Progress: r.Progress,
		RolledBack: converted(r.RolledBack, func(d [32]byte) digest { return d }),
	}
}

func decodeDevice(data string, r *firmware.Record) error {
	var d firmwareDevice
	if err := decode(data, &d); err != nil {
		return damaged(err)
	}
	r.Device, r.Info, r.Kept = firmware.DeviceState(d.State), string(d.Info), d.Kept
	r.Running = firmware.Slot{
		Version: string(d.Running.Version), Epoch: d.Running.Epoch, Digest: d.Running.Digest,
		Whole: d.Running.Whole, Run: string(d.Running.Run), Tries: d.Running.Tries,
	}
	r.Settings = firmware.Settings{Checks: d.Checks, Prereleases: d.Prereleases}
	r.Check = firmware.Check{Time: d.CheckTime, Reason: string(d.CheckReason), Cause: string(d.CheckCause)}
	r.Floor, r.Progress = d.Floor, d.Progress
	r.RolledBack = converted(d.RolledBack, func(d digest) [32]byte { return d })
	return nil
}

// keptCatalog is a catalog and the trust that goes with it. Nobody changes it.
type keptCatalog struct {
	digest  string // SHA-256 of its record
	catalog firmware.Catalog
	trust   []byte
}

func (k *keptCatalog) record() (string, error) {
	c := k.catalog
	return encode(firmwareCatalog{
		Product: bytesText(c.Product), Number: c.Number, Issued: c.Issued.UTC(), Expires: c.Expires.UTC(),
		Releases: converted(c.Releases, releaseOf), Trust: k.trust,
	})
}

func digestOf(record string) string {
	sum := sha256.Sum256([]byte(record))
	return hex.EncodeToString(sum[:])
}

// keeping returns what is to be kept of a record apart from it: the last, if it
// is the same, which costs less than to find out what it is.
func keeping(r firmware.Record, last *keptCatalog) (*keptCatalog, error) {
	if last != nil && reflect.DeepEqual(last.trust, r.Trust) && reflect.DeepEqual(last.catalog, r.Catalog) {
		return last, nil
	}
	kept := &keptCatalog{catalog: r.Catalog.Clone(), trust: slices.Clone(r.Trust)}
	record, err := kept.record()
	kept.digest = digestOf(record)
	return kept, err
}

func decodeCatalog(record, digest string) (*keptCatalog, error) {
	if digestOf(record) != digest {
		return nil, damaged(fmt.Errorf("%w: the catalog is not what was written", storage.ErrCorrupt))
	}
	var c firmwareCatalog
	err := decode(record, &c)
	return &keptCatalog{digest: digest, trust: c.Trust, catalog: firmware.Catalog{
		Product: string(c.Product), Number: c.Number, Issued: c.Issued, Expires: c.Expires,
		Releases: converted(c.Releases, firmwareRelease.release),
	}}, damaged(err)
}

func releaseOf(r firmware.Release) firmwareRelease {
	return firmwareRelease{
		Version: bytesText(r.Version), Prerelease: r.Prerelease, Time: r.Time.UTC(), Epoch: r.Epoch,
		Hardware: converted(r.Hardware, toBytes), MinFrom: bytesText(r.MinFrom), Cohort: r.Cohort, Size: r.Size, Digest: r.Digest,
		IndexName: bytesText(r.Index.Name), IndexSize: r.Index.Size, IndexDigest: r.Index.Digest, Meta: pairsOf(r.Meta, toBytes),
	}
}

func (r firmwareRelease) release() firmware.Release {
	return firmware.Release{
		Version: string(r.Version), Prerelease: r.Prerelease, Time: r.Time, Epoch: r.Epoch,
		Hardware: converted(r.Hardware, toString), MinFrom: string(r.MinFrom), Cohort: r.Cohort, Size: r.Size, Digest: r.Digest,
		Index: firmware.Object{Name: string(r.IndexName), Size: r.IndexSize, Digest: r.IndexDigest},
		Meta:  mapOf[string](r.Meta, toString),
	}
}

func firmwareRunOf(r firmware.Run) firmwareRun {
	asRecord := func(b firmware.By) byRecord { return byOf(by(b)) }
	return firmwareRun{
		From: bytesText(r.From), Version: bytesText(r.Version), Release: releaseOf(r.Release),
		State: bytesText(r.State), Percent: r.Percent, Pulled: pairsOf(r.Pulled, same[int64]),
		Reason: bytesText(r.Reason), Cause: bytesText(r.Cause), Undoes: bytesText(r.Undoes),
		Cancel: optional(r.Cancel, asRecord), Apply: optional(r.Apply, asRecord), Owner: bytesText(r.Owner),
	}
}

func decodeFirmwareRun(data string, r *firmware.Run) error {
	var d firmwareRun
	if err := decode(data, &d); err != nil {
		return damaged(err)
	}
	asBy := func(b byRecord) firmware.By { return firmware.By(b.by()) }
	r.From, r.Version, r.Release = string(d.From), string(d.Version), d.Release.release()
	r.State, r.Percent, r.Pulled = firmware.State(d.State), d.Percent, mapOf[firmware.Way](d.Pulled, same[int64])
	r.Reason, r.Cause, r.Undoes = string(d.Reason), string(d.Cause), string(d.Undoes)
	r.Cancel, r.Apply, r.Owner = optional(d.Cancel, asBy), optional(d.Apply, asBy), string(d.Owner)
	return nil
}

func firmwareRequestOf(r firmware.Request) firmwareRequest {
	return firmwareRequest{
		Version: bytesText(r.Version), AllowDowngrade: r.AllowDowngrade, Plan: bytesText(r.Plan), By: byOf(by(r.By)),
	}
}

func decodeFirmwareRequest(data string) (firmware.Request, error) {
	var r firmwareRequest
	err := decode(data, &r)
	return firmware.Request{
		Version: string(r.Version), AllowDowngrade: r.AllowDowngrade, Plan: string(r.Plan), By: firmware.By(r.By.by()),
	}, damaged(err)
}

func firmwareEventOf(e firmware.Event) firmwareEvent {
	return firmwareEvent{
		Kind: bytesText(e.Kind), State: bytesText(e.State), Device: bytesText(e.Device), Percent: e.Percent,
		Actor: bytesText(e.Actor), Message: bytesText(e.Message),
	}
}

func decodeFirmwareEvent(data string) (firmware.Event, error) {
	var e firmwareEvent
	err := decode(data, &e)
	return firmware.Event{
		Kind: firmware.EventKind(e.Kind), State: firmware.State(e.State), Device: firmware.DeviceState(e.Device), Percent: e.Percent,
		Actor: string(e.Actor), Message: string(e.Message),
	}, damaged(err)
}
