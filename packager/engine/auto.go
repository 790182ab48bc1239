package engine

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/auto"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// unpacking is the assumed ratio of unpacked to compressed size for layers of unknown content. It
// is about that of executables.
const unpacking = 3

// Plan plans the layers of some refs of an expansion. Room is the budget of an automatic plan; if
// groups and exclusions use all of it, Plan returns the plan with the fewest layers. It returns the
// mode of the plan as well.
func (k *Maker) Plan(ctx context.Context, ms Modules, e flatten.Expansion, refs []flatten.Ref, g flatten.Grouping, have flatten.Existing, room int) (flatten.LayerPlan, flatten.Mode, error) {
	if g.Mode == flatten.Auto {
		fixed, err := g.Claimed(e, have)
		if err != nil {
			return nil, "", err
		}
		if room > len(fixed) {
			plan, err := k.auto(ctx, ms, e, refs, fixed, room)
			return plan, g.Mode, err
		}
		g.Mode = flatten.All
	}
	plan, err := flatten.Plan(e, ms.Plain(), g, have)
	return plan, g.Mode, err
}

// auto plans the layers of some refs of an expansion so that users with the previous image pull the
// fewest bytes, now and later (see package auto). Budget is the most layers, including fixed ones.
func (k *Maker) auto(ctx context.Context, ms Modules, e flatten.Expansion, refs []flatten.Ref, fixed flatten.LayerPlan, budget int) (flatten.LayerPlan, error) {
	if k.options.Previous != nil && k.previous == nil {
		k.Warn("no image at DEST yet; planning for users without a previous image; name the previous release with --previous REF")
	}
	sizes, err := k.sizes(ctx, ms, refs)
	if err != nil {
		return nil, err
	}
	in := auto.Input{Budget: budget, Fixed: fixed}
	for _, m := range auto.Modules(flatten.Expansion{Refs: refs, Owners: e.Owners}, sizes) {
		if !slices.ContainsFunc(fixed, func(l flatten.PlannedLayer) bool { return slices.Contains(l.Refs, m.Ref) }) {
			in.Modules = append(in.Modules, m)
		}
	}
	if in.Previous, err = k.before(ctx, ms, refs); err != nil {
		return nil, err
	}
	return auto.Plan(in)
}

// before returns the refs of each layer with buildpacks in the previous image. Refs whose content
// has changed are zero, and so are all refs of a layer that must be built again: it is pulled
// anyway.
func (k *Maker) before(ctx context.Context, ms Modules, planned []flatten.Ref) ([][]flatten.Ref, error) {
	var layers [][]flatten.Ref
	for _, l := range k.previous.layers() {
		refs := slices.Clone(orderIn(l))
		if !slices.ContainsFunc(refs, func(r flatten.Ref) bool { return slices.Contains(planned, r) }) {
			layers = append(layers, refs) // of a build image, or no longer needed
			continue
		}
		whole := true
		for i, r := range refs {
			if ms[r] == nil {
				whole = false
				continue
			}
			ids, err := k.contentIDs(ctx, ms, []flatten.Ref{r})
			if err != nil {
				return nil, err
			}
			if was := identity(l, r); was != (v1.Hash{}) && ids[0] != (v1.Hash{}) && was != ids[0] {
				refs[i] = flatten.Ref{}
				whole = false
			}
		}
		if whole {
			r, err := k.resolve(ctx, ms, flatten.PlannedLayer{Refs: refs}, false)
			if err != nil {
				return nil, err
			}
			for i := range refs {
				if r.Inherited == (v1.Hash{}) {
					refs[i] = flatten.Ref{}
				}
			}
		}
		layers = append(layers, refs)
	}
	return layers, nil
}

// orderIn returns the refs of a layer, in its order if that is known.
func orderIn(l *image.Layer) []flatten.Ref {
	if refs := refsOf(l.Facts); sameRefs(refs, l.Refs) {
		return refs
	}
	return l.Refs
}

// sizeLimit is the maximum assumed length of a piece in bytes: labels are untrusted, and sums must
// not overflow.
const sizeLimit = 1 << 46

// sizes returns the unpacked lengths of the pieces: from labels; computed for directories and
// archives; estimated for layers of unknown content.
func (k *Maker) sizes(ctx context.Context, ms Modules, refs []flatten.Ref) (map[flatten.Ref]int64, error) {
	sizes := map[flatten.Ref]int64{}
	for _, r := range refs {
		size, err := k.size(ctx, ms[r])
		if err != nil {
			return nil, err
		}
		sizes[r] = min(max(size, 0), sizeLimit)
	}
	return sizes, nil
}

func (k *Maker) size(ctx context.Context, m *image.Module) (int64, error) {
	if m.Layer != nil {
		for _, f := range m.Layer.Facts {
			if f.Ref == m.Ref() {
				return f.Length, nil
			}
		}
		if m.Layer.Stored {
			packed, err := m.Layer.Size()
			return min(packed, sizeLimit) * unpacking / int64(len(m.Layer.Refs)), err
		}
	}
	if length, known := layer.LengthOf(m.Piece); known {
		return length, nil
	}
	f, err := k.measure(ctx, m)
	return f.Length, err
}
