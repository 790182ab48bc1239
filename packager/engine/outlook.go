package engine

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Outlook is the effect of a plan on users who have the previous image.
type Outlook struct {
	// Bytes are the unpacked lengths of the layers. They are estimates if no label has them.
	Bytes []int64
	// Layers are the layers of the plan with their origins.
	Layers []Resolved
	// Kept is the number of lowest layers that are at the same position in the previous image, on
	// top of the same layers. Docker's graph driver reuses these, and none above.
	Kept int
	// Previous is the name of the previous image, or "".
	Previous string
	// Doubled are the unused modules in the layers.
	Doubled []Double
}

// IsNew reports whether the previous image lacks a layer, so that clients must pull it.
func (o Outlook) IsNew(i int) bool { return o.Layers[i].Inherited == (v1.Hash{}) }

// Outlook returns the outlook of a plan, without building layers. Below are the diffIDs of the
// layers under those of the plan.
func (k *Maker) Outlook(ctx context.Context, ms Modules, plan []Resolved, below []v1.Hash) (Outlook, error) {
	o := Outlook{Layers: plan, Doubled: ms.Doubled(plan)}
	if k.previous != nil {
		o.Previous = k.previous.name
	}
	same := k.previous.liesUpon(below)
	for i, l := range plan {
		sizes, err := k.sizes(ctx, ms, l.Plan.Refs)
		if err != nil {
			return Outlook{}, err
		}
		total := int64(0)
		for _, n := range sizes {
			total += n
		}
		o.Bytes = append(o.Bytes, total)
		if same = same && !o.IsNew(i) && k.previous.at(len(below)+i) == l.Inherited; same {
			o.Kept++
		}
	}
	return o, nil
}

// Inherits reports whether the previous image has a layer without modules: one that laminate
// builds, or one of the build image, in any compression.
func (k *Maker) Inherits(diffID v1.Hash, built bool) bool {
	if k.previous == nil || !slices.Contains(k.previous.order, diffID) {
		return false
	}
	blob := k.previous.byDiffID[diffID]
	return !built || blob == nil || blob.Compression == k.options.Compression
}

// liesUpon reports whether these are the lowest layers.
func (p *previous) liesUpon(below []v1.Hash) bool {
	for i, diffID := range below {
		if p.at(i) != diffID {
			return false
		}
	}
	return p != nil
}

// at returns the diffID of the layer at an index, from the lowest.
func (p *previous) at(i int) v1.Hash {
	if p == nil || i >= len(p.order) {
		return v1.Hash{}
	}
	return p.order[i]
}
