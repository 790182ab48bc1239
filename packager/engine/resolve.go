package engine

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// Origin is where a layer comes from.
type Origin string

// The origins, in order of preference.
const (
	FromPrevious Origin = "previous image"
	FromSource   Origin = "source" // from a package or the build image
	FromCache    Origin = "cache"
	ToBuild      Origin = "build"
)

// Resolved is a planned layer with its origin.
type Resolved struct {
	Plan   flatten.PlannedLayer
	Origin Origin
	// Why is the reason for the origin, for people.
	Why string
	// Inherited is the diffID of the layer of the previous image with the same uncompressed
	// content, or zero. Clients with the previous image do not pull it again.
	Inherited v1.Hash
	// Pieces are the pieces of the layer, in order; nil if they are unknown.
	Pieces []flatten.Facts

	layer v1.Layer  // nil for ToBuild
	ids   []v1.Hash // of the planned refs, if known
}

// resolveJobs is how many layers are resolved concurrently.
const resolveJobs = 4

// Resolve decides where each layer of a plan comes from. Labels and manifests suffice, with three
// exceptions: directories and archives are read if the previous image or the cache knows their
// refs; a source's layer is read once if no label describes it; and cache entries are verified.
// Errors come in the order of the plan.
func (k *Maker) Resolve(ctx context.Context, ms Modules, plan flatten.LayerPlan) ([]Resolved, error) {
	resolved, errs := make([]Resolved, len(plan)), make([]error, len(plan))
	var group errgroup.Group
	group.SetLimit(resolveJobs)
	for i, planned := range plan {
		group.Go(func() error {
			resolved[i], errs[i] = k.resolve(ctx, ms, planned, true)
			if errs[i] == nil && resolved[i].Origin == ToBuild {
				k.findKept(ctx, ms, &resolved[i])
			}
			return nil // try all
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return resolved, nil
}

// resolve decides where a layer comes from, except for the cache. The previous image takes
// precedence, since users have its layers; with as-packaged, the source does. If mayLook is false,
// no layer is read, and a source's layer without a label is assumed to be in normal form.
func (k *Maker) resolve(ctx context.Context, ms Modules, planned flatten.PlannedLayer, mayLook bool) (Resolved, error) {
	r := Resolved{Plan: planned, Origin: ToBuild}
	var err error
	if r.ids, err = k.contentIDs(ctx, ms, planned.Refs); err != nil {
		return r, err
	}
	first := ms[planned.Refs[0]]
	have, why := k.inSource(ms, planned)
	if have == nil || !planned.AsIs {
		if before := k.inPrevious(first, planned.Refs, r.ids); before != nil {
			return r.fromPrevious(k, first, before), nil
		}
	}
	if have != nil {
		use, err := k.usable(ctx, first, planned, mayLook)
		if err != nil {
			return r, err
		}
		if use.layer != nil {
			return r.fromSource(k, first, use), nil
		}
		why = use.why
	}
	r.Why = why
	r.Plan.Extra = nil // built layers hold the planned refs only
	isUncertain := func(ref flatten.Ref) bool { return !isCertain(ms[ref]) }
	if l := k.previous.unpacked(planned.Refs, r.ids); l != nil && !slices.ContainsFunc(planned.Refs, isUncertain) {
		r.Inherited = l.Diff
	}
	return r, nil
}

// fromPrevious uses the layer of the previous image with the refs. Its expected content is known,
// so it is inspected when it is read.
func (r Resolved) fromPrevious(k *Maker, m *image.Module, have *image.Layer) Resolved {
	r.Origin, r.Why, r.Inherited = FromPrevious, "same content", have.Diff
	r.Plan.Extra = nil // it holds the planned refs only
	pieces := []flatten.Facts{{Ref: m.Ref(), ContentID: r.ids[0]}}
	if slices.Equal(refsOf(have.Facts), r.Plan.Refs) {
		pieces, r.Pieces = have.Facts, have.Facts
	}
	r.layer = watch(have, m.Kind, k.previous.name, pieces)
	return r
}

// fromSource uses the layer of a source, or the layer of the previous image with the same diffID in
// another compression.
func (r Resolved) fromSource(k *Maker, m *image.Module, use usable) Resolved {
	r.Origin, r.Why, r.layer, r.Pieces = FromSource, use.why, use.layer, use.pieces
	before := k.previous.layer(m.Layer.Diff, k.options.Compression)
	if before == nil {
		if k.previous.hasUnstored(m.Layer.Diff) {
			r.Inherited = m.Layer.Diff
		}
		return r
	}
	r.Inherited = before.Diff
	if !sameDigest(before, m.Layer) {
		r.Origin, r.Why = FromPrevious, "same diffID as the source's layer"
		r.layer = watch(before, m.Kind, k.previous.name, r.Pieces)
	}
	return r
}

// findKept uses a cached layer, if there is one.
func (k *Maker) findKept(ctx context.Context, ms Modules, r *Resolved) {
	refs := r.Plan.Refs
	have := k.kept.layer(ctx, k.options.Compression, layerKey(k.options.Compression, pieceOrigins(ms, refs, r.ids)))
	if have == nil || !agree(ms, refs, r.ids, have.Pieces) ||
		slices.ContainsFunc(refs, func(ref flatten.Ref) bool { return !k.kept.canStandFor(ctx, ms[ref]) }) {
		return
	}
	r.Origin, r.Why, r.layer, r.Pieces = FromCache, "built before", have, have.Pieces
}

// agree reports whether pieces match these refs and their known content identities.
func agree(ms Modules, refs []flatten.Ref, ids []v1.Hash, pieces []flatten.Facts) bool {
	for i, r := range refs {
		if i >= len(pieces) || pieces[i].Ref != r || isCertain(ms[r]) && pieces[i].ContentID != ids[i] {
			return false
		}
	}
	return len(pieces) == len(refs)
}

// inPrevious returns the layer of the previous image with the refs and content identities, or nil.
// M is the module of the first ref.
func (k *Maker) inPrevious(m *image.Module, refs []flatten.Ref, ids []v1.Hash) *image.Layer {
	have := k.previous.holding(refs, ids, k.options.Compression)
	if have == nil && len(ids) == 1 && isCertain(m) {
		have = k.previous.layer(ids[0], k.options.Compression) // of any tool: equal diffIDs are equal layers
	}
	return have
}

// inSource returns the layer of a source with exactly the planned refs in the wanted compression,
// or nil and the reason.
func (k *Maker) inSource(ms Modules, planned flatten.PlannedLayer) (*image.Layer, string) {
	l := ms[planned.Refs[0]].Layer
	switch {
	case l == nil:
		return nil, "the source is a directory or an archive"
	case !l.Stored:
		return nil, "the source has no compressed layers"
	case l.Compression != k.options.Compression:
		return nil, "the source's layer is not compressed with " + string(k.options.Compression)
	case !sameRefs(l.Refs, slices.Concat(planned.Refs, planned.Extra)):
		return nil, "no source has these buildpacks in one layer"
	}
	for _, r := range planned.Refs {
		if ms[r].Layer != l { // from another source, although this source's label lists it
			return nil, "no source has these buildpacks in one layer"
		}
	}
	return l, ""
}

// usable is a source's layer for another image, or the reason why it cannot be used.
type usable struct {
	layer  v1.Layer // nil if it cannot be used
	pieces []flatten.Facts
	why    string
}

// usable decides whether the layer of a source's module is used unchanged. If neither its own label
// nor that of the previous image describes it, the layer is read first, and is not used if it is
// not in normal form. As-packaged plans take such a layer unread, unless its modules share an id
// directory: early versions of laminate wrote an entry of that directory for each of them, and
// engines refuse such a layer.
func (k *Maker) usable(ctx context.Context, m *image.Module, planned flatten.PlannedLayer, mayLook bool) (usable, error) {
	have := m.Layer
	if facts, from := k.factsOf(m, planned.AsIs); facts != nil {
		return usable{watch(have, m.Kind, from, facts), facts, "the source has it"}, nil
	}
	if !mayLook {
		return usable{layer: have.Reuse(), why: "the source has it"}, nil
	}
	if planned.AsIs && !flatten.ShareIDDir(have.Refs) {
		return usable{have.Reuse(), nil, "as packaged"}, nil
	}
	found, err := k.look(ctx, m)
	switch {
	case err != nil:
		return usable{}, err
	case found.NonCanonical == "":
		return usable{found.layer, found.Pieces, "the source has it"}, nil
	case !planned.AsIs:
		return usable{why: "the source's layer is not in normal form: " + found.NonCanonical}, nil
	case found.Duplicate != "":
		return usable{}, fmt.Errorf("%s: layer %s has two entries for %s, which Docker and podman refuse; use a mode other than as-packaged to build it again", m.Source, have.Diff, found.Duplicate)
	}
	return usable{have.Reuse(), nil, "as packaged"}, nil
}

// factsOf returns the facts of a source's layer from a label: that of its own image, or that of the
// previous image for the same diffID. It returns nil if neither label has them. The facts are
// checked when the layer is read. As packaged, only the source's label counts, since no label may
// depend on the previous image. From is the beginning of a message about a wrong label.
func (k *Maker) factsOf(m *image.Module, asPackaged bool) (facts []flatten.Facts, from string) {
	l := m.Layer
	if sameRefs(refsOf(l.Facts), l.Refs) {
		return l.Facts, m.Source
	}
	if asPackaged {
		return nil, ""
	}
	if before := k.previous.diff(l.Diff); before != nil && sameRefs(refsOf(before.Facts), l.Refs) {
		return before.Facts, fmt.Sprintf("%s, by the label of the previous image %s (--previous none does without it)", m.Source, k.previous.name)
	}
	return nil, ""
}

// report is the result of inspecting a layer without a label.
type report struct {
	layer.Report
	layer v1.Layer // for another image
}

// look inspects the layer of a module, once per run, or uses the cached report of an earlier run.
func (k *Maker) look(ctx context.Context, m *image.Module) (*report, error) {
	return k.reports.Do(m.Layer, func() (*report, error) {
		have := m.Layer
		if r, ok := k.kept.report(ctx, m.Kind, have); ok && k.kept.canStandFor(ctx, m) {
			return &report{r, watch(have, m.Kind, m.Source, r.Pieces)}, nil
		}
		local, err := k.blobs.local(ctx, have)
		if err != nil {
			return nil, err
		}
		r, err := layer.Inspect(ctx, m.Kind, have.Refs, local.open)
		switch {
		case image.IsNamed(err):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%s: %w", m.Source, err)
		}
		k.kept.keepReport(m.Kind, have, r)
		return &report{r, local.reuse()}, nil
	})
}

// sameDigest reports whether two layers have the same digest.
func sameDigest(a, b v1.Layer) bool {
	one, errA := a.Digest()
	other, errB := b.Digest()
	return errA == nil && errB == nil && one == other
}

func sameRefs(a, b []flatten.Ref) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), flatten.Ref.Compare), slices.SortedFunc(slices.Values(b), flatten.Ref.Compare))
}

func refsOf(pieces []flatten.Facts) []flatten.Ref {
	var refs []flatten.Ref
	for _, p := range pieces {
		refs = append(refs, p.Ref)
	}
	return refs
}
