package engine

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Outlook is what a plan means for those who have the previous image.
type Outlook struct {
	// Bytes are the lengths of the layers, unpacked; estimates where nobody
	// says and nothing is read.
	Bytes []int64
	// Layers are those of the plan, with their origins.
	Layers []Resolved
	// Kept is how many of the layers, from the lowest on, lie in the previous
	// image where they will lie, upon the same layers: Docker's graph driver
	// reuses these, and none above.
	Kept int
	// Previous names the previous image, "" where there is none.
	Previous string
	// Doubled are what the layers hold for nothing.
	Doubled []Double
}

// IsNew reports whether the previous image lacks a layer, so that clients that
// have it pull the layer.
func (o Outlook) IsNew(i int) bool { return o.Layers[i].Inherited == (v1.Hash{}) }

// Outlook says what a plan means, without making a layer. Below are the diffIDs
// of what the layers will lie upon.
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

// Inherits reports whether the previous image has a layer that holds no modules:
// one that is built, or, as the build image has it, one that may be compressed
// in any way.
func (k *Maker) Inherits(diffID v1.Hash, built bool) bool {
	if k.previous == nil || !slices.Contains(k.previous.order, diffID) {
		return false
	}
	blob := k.previous.byDiffID[diffID]
	return !built || blob == nil || blob.Compression == k.options.Compression
}

// liesUpon reports whether the lowest layers are these.
func (p *previous) liesUpon(below []v1.Hash) bool {
	for i, diffID := range below {
		if p.at(i) != diffID {
			return false
		}
	}
	return p != nil
}

// at returns the diffID of a layer, counted from the lowest.
func (p *previous) at(i int) v1.Hash {
	if p == nil || i >= len(p.order) {
		return v1.Hash{}
	}
	return p.order[i]
}
