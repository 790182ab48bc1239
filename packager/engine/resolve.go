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

// Origin says where a layer comes from.
type Origin string

// The origins, in the order in which they are tried.
const (
	FromPrevious Origin = "previous image"
	FromSource   Origin = "source" // as a package or the build image has it
	FromCache    Origin = "cache"
	ToBuild      Origin = "build"
)

// Resolved is a planned layer, and where it comes from.
type Resolved struct {
	Plan   flatten.PlannedLayer
	Origin Origin
	// Why says why the layer has this origin.
	Why string
	// Inherited is the diffID of the layer of the previous image that holds the
	// same, unpacked; it is zero where there is none. Clients that have the
	// previous image do not pull it again.
	Inherited v1.Hash
	// Pieces are what the layer holds, in order; nil where that is not known
	// without reading it.
	Pieces []flatten.Facts

	layer v1.Layer  // nil for ToBuild
	ids   []v1.Hash // of the planned refs, as far as they are known
}

// resolveJobs is how many layers are resolved at once.
const resolveJobs = 4

// Resolve decides where each layer of a plan comes from. Labels and manifests suffice for that, but
// for three things: directories and archives are read where the previous image or the cache knows
// their refs; a source's layer of which no label says content is read once; and what the cache has
// is verified. Errors come in the order of the plan.
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
			return nil // all are tried
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

// resolve decides where a layer comes from, the cache aside. The previous image
// goes first: whoever pulls the new image has its layers. As packaged, the
// source goes first. Unless it may look, no layer is read, and a source's layer
// of which no label says what it holds is taken to be in normal form.
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
	r.Plan.Extra = nil // a layer that is built holds the planned refs only
	isUncertain := func(ref flatten.Ref) bool { return !isCertain(ms[ref]) }
	if l := k.previous.unpacked(planned.Refs, r.ids); l != nil && !slices.ContainsFunc(planned.Refs, isUncertain) {
		r.Inherited = l.Diff
	}
	return r, nil
}

// fromPrevious takes the layer of the previous image that holds the refs. What
// it should hold is known, so that it is inspected if it is read.
func (r Resolved) fromPrevious(k *Maker, m *image.Module, have *image.Layer) Resolved {
	r.Origin, r.Why, r.Inherited = FromPrevious, "it holds the same content", have.Diff
	r.Plan.Extra = nil // it holds the planned refs only
	pieces := []flatten.Facts{{Ref: m.Ref(), ContentID: r.ids[0]}}
	if slices.Equal(refsOf(have.Facts), r.Plan.Refs) {
		pieces, r.Pieces = have.Facts, have.Facts
	}
	r.layer = watch(have, m.Kind, k.previous.name, pieces)
	return r
}

// fromSource takes the layer of a source, or that of the previous image which
// has the same diffID and is compressed in another way.
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
		r.Origin, r.Why = FromPrevious, "it has the same diffID as the source's layer"
		r.layer = watch(before, m.Kind, k.previous.name, r.Pieces)
	}
	return r
}

// findKept takes the layer that an earlier run has left in the cache.
func (k *Maker) findKept(ctx context.Context, ms Modules, r *Resolved) {
	refs := r.Plan.Refs
	have := k.kept.layer(ctx, k.options.Compression, layerKey(k.options.Compression, pieceOrigins(ms, refs, r.ids)))
	if have == nil || !agree(ms, refs, r.ids, have.Pieces) ||
		slices.ContainsFunc(refs, func(ref flatten.Ref) bool { return !k.kept.canStandFor(ctx, ms[ref]) }) {
		return
	}
	r.Origin, r.Why, r.layer, r.Pieces = FromCache, "it was built before", have, have.Pieces
}

// agree reports whether a record of pieces is one of these refs, with the
// content identities that are certain.
func agree(ms Modules, refs []flatten.Ref, ids []v1.Hash, pieces []flatten.Facts) bool {
	for i, r := range refs {
		if i >= len(pieces) || pieces[i].Ref != r || isCertain(ms[r]) && pieces[i].ContentID != ids[i] {
			return false
		}
	}
	return len(pieces) == len(refs)
}

// inPrevious returns the layer of the previous image that holds the refs, of
// which m is the first, with these content identities; or nil.
func (k *Maker) inPrevious(m *image.Module, refs []flatten.Ref, ids []v1.Hash) *image.Layer {
	have := k.previous.holding(refs, ids, k.options.Compression)
	if have == nil && len(ids) == 1 && isCertain(m) {
		have = k.previous.layer(ids[0], k.options.Compression) // whatever tool made it: equal diffIDs are equal layers
	}
	return have
}

// inSource returns the layer of a source that holds just the planned refs,
// compressed as is wanted, or nil and why there is none.
func (k *Maker) inSource(ms Modules, planned flatten.PlannedLayer) (*image.Layer, string) {
	l := ms[planned.Refs[0]].Layer
	switch {
	case l == nil:
		return nil, "its source is a directory or an archive"
	case !l.Stored:
		return nil, "its source has no compressed layers"
	case l.Compression != k.options.Compression:
		return nil, "the source's layer is not compressed with " + string(k.options.Compression)
	case !sameRefs(l.Refs, slices.Concat(planned.Refs, planned.Extra)):
		return nil, "no source has these buildpacks in one layer"
	}
	for _, r := range planned.Refs {
		if ms[r].Layer != l { // from another source, though in the label of this one
			return nil, "no source has these buildpacks in one layer"
		}
	}
	return l, ""
}

// usable is a source's layer in the shape in which it goes into another image,
// or why it does not.
type usable struct {
	layer  v1.Layer // nil where it cannot be used
	pieces []flatten.Facts
	why    string
}

// usable decides whether the layer of a source's module is used as it is. Where
// neither its own label nor that of the previous image says what it holds, it
// is read first, unless the plan takes it unseen; where it is not in the shape
// that platforms expect, it is not used. What the plan takes unseen is read only
// where modules share an id directory: with an entry of it for each, as laminate
// once wrote them, engines refuse the layer.
func (k *Maker) usable(ctx context.Context, m *image.Module, planned flatten.PlannedLayer, mayLook bool) (usable, error) {
	have := m.Layer
	if facts, from := k.factsOf(m, planned.AsIs); facts != nil {
		return usable{watch(have, m.Kind, from, facts), facts, "the source has it"}, nil
	}
	if !mayLook {
		return usable{layer: have.Reuse(), why: "the source has it"}, nil
	}
	if planned.AsIs && !flatten.ShareIDDir(have.Refs) {
		return usable{have.Reuse(), nil, "the source has it, and it is taken as packaged"}, nil
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
		return usable{}, fmt.Errorf("%s: layer %s has two entries for %s, and Docker and podman refuse it as it is; take a mode other than as-packaged, which makes it anew", m.Source, have.Diff, found.Duplicate)
	}
	return usable{have.Reuse(), nil, "the source has it, and it is taken as packaged"}, nil
}

// factsOf returns what labels say that a source's layer holds: its own image's,
// or that of the previous image about the layer of the same diffID; nil where
// neither says so. What they say is checked when the layer is read. As packaged,
// the source alone counts: no label may depend on the previous image.
// It also returns what a message about a label that is wrong begins with.
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

// report is what was found in a layer of which no label says what it holds.
type report struct {
	layer.Report
	layer v1.Layer // in the shape in which it goes into another image
}

// look inspects the layer of a module, once in a run, or takes the report that
// an earlier run has left in the cache.
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

// sameDigest reports whether two layers are the same as they are compressed.
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
