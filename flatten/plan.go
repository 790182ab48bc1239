package flatten

import (
	"errors"
	"fmt"
	"slices"
)

// Mode is how [Plan] assigns layers to the refs that neither a group nor an exclusion names.
type Mode string

// The modes.
const (
	// None puts each ref in a layer of its own.
	None Mode = "none"
	// Composites puts the root and each top-level component in a layer of its own, and groups the
	// rest by owner set: a composite shares one layer with the refs that only it reaches; refs that
	// several composites reach share another.
	Composites Mode = "composites"
	// All puts all refs in one layer, including the root.
	All Mode = "all"
	// Auto groups refs that change together, as far as the layer budget demands it. [Plan] refuses
	// it, since it depends on more than an expansion; see package auto.
	Auto Mode = "auto"
	// AsPackaged keeps every layer of the sources; refs that come from no layer get one each.
	AsPackaged Mode = "as-packaged"
)

// Grouping says which refs share a layer. The zero value is [None].
type Grouping struct {
	Mode Mode
	// Groups are lists of patterns (see [Select]); the refs that match a list
	// share a layer.
	Groups [][]string
	// Exclude are patterns; refs that match keep a layer of their own.
	Exclude []string
}

// Existing describes the layers that exist before planning.
type Existing struct {
	// Packed are the refs of each layer of the sources, in order, for AsPackaged.
	Packed [][]Ref
	// Below are the refs in the build image: patterns may match them, but the plan leaves them out.
	Below []Ref
}

// LayerPlan says which refs share which layer, lowest layer first.
type LayerPlan []PlannedLayer

// PlannedLayer is one layer of a plan.
type PlannedLayer struct {
	// Refs are the refs for which the image's label names this layer. A built layer holds them in
	// this order (see [Neighbours]).
	Refs []Ref
	// AsIs means that the layer is one of Existing.Packed, used without reading it.
	AsIs bool
	// Extra are further refs in an AsIs layer, which an earlier layer holds as well, or which are
	// not part of this image.
	Extra  []Ref
	Reason string // why these share a layer, or one has its own; for people
}

// place identifies a layer: refs with equal places share one.
type place struct {
	reason string
	of     Ref    // the ref, for a layer that is not shared
	packed int    // 1 + index in Existing.Packed, or 0
	owners string // the key of the owner set, for refs with several owners
}

// Plan assigns each ref of an expansion to exactly one layer. Layers and the refs in them have the
// order of the expansion, except for refs that share an id directory (see [Neighbours]), and for
// the root's layer, which changes most often and therefore is on top. It reports all problems of
// the grouping at once.
func Plan(e Expansion, ms Modules, g Grouping, have Existing) (LayerPlan, error) {
	switch g.Mode {
	case "", None, Composites, All, AsPackaged:
	default:
		return nil, fmt.Errorf("unsupported layer plan mode %q", g.Mode)
	}
	places, err := g.claims(e)
	if err != nil {
		return nil, err
	}
	claimed := len(places)
	for _, r := range e.Refs {
		if _, is := places[r]; !is {
			places[r] = e.place(r, ms, g.Mode, have)
		}
	}
	var plan LayerPlan
	at := map[place]int{}
	for _, r := range e.Refs {
		p := places[r]
		i, known := at[p]
		if !known {
			i = len(plan)
			at[p] = i
			plan = append(plan, PlannedLayer{Reason: p.reason, AsIs: p.packed > 0})
		}
		plan[i].Refs = append(plan[i].Refs, r)
	}
	for p, i := range at {
		if p.packed > 0 {
			plan[i].settle(have.Packed[p.packed-1], places, claimed > 0)
		}
	}
	slices.SortStableFunc(plan, func(a, b PlannedLayer) int { return e.rootLast(a) - e.rootLast(b) })
	return have.finish(plan), nil
}

// finish removes the refs that are in the build image, and puts the refs of each layer in their
// final order.
func (have Existing) finish(plan LayerPlan) LayerPlan {
	var kept LayerPlan
	for _, l := range plan {
		var here, below []Ref
		for _, r := range l.Refs {
			if slices.Contains(have.Below, r) {
				below = append(below, r)
			} else {
				here = append(here, r)
			}
		}
		if l.AsIs {
			l.Extra = slices.Concat(l.Extra, below)
		}
		if l.Refs = Neighbours(here); len(here) > 0 {
			kept = append(kept, l)
		}
	}
	return kept
}

// Claimed returns the layers of groups and exclusions, whatever the mode, in the order of the
// expansion.
func (g Grouping) Claimed(e Expansion, have Existing) (LayerPlan, error) {
	places, err := g.claims(e)
	if err != nil {
		return nil, err
	}
	var plan LayerPlan
	at := map[place]int{}
	for _, r := range e.Refs {
		p, claimed := places[r]
		if !claimed {
			continue
		}
		i, known := at[p]
		if !known {
			i = len(plan)
			at[p] = i
			plan = append(plan, PlannedLayer{Reason: p.reason})
		}
		plan[i].Refs = append(plan[i].Refs, r)
	}
	return have.finish(plan), nil
}

// claims returns the places of the refs that groups and exclusions match.
func (g Grouping) claims(e Expansion) (map[Ref]place, error) {
	places := map[Ref]place{}
	var errs []error
	claim := func(r Ref, p place) {
		if before, is := places[r]; is && before != p {
			errs = append(errs, fmt.Errorf("conflicting layers for buildpack %s: %s and %s", r, before.reason, p.reason))
		}
		places[r] = p
	}
	for i, patterns := range g.Groups {
		refs, err := selectAll(patterns, e.Refs)
		errs = append(errs, err)
		for _, r := range refs {
			claim(r, place{reason: fmt.Sprintf("group %d", i+1)})
		}
	}
	refs, err := selectAll(g.Exclude, e.Refs)
	errs = append(errs, err)
	for _, r := range refs {
		claim(r, place{reason: "excluded", of: r})
	}
	return places, errors.Join(errs...)
}

// place returns the layer that the mode assigns to a ref.
func (e Expansion) place(r Ref, ms Modules, mode Mode, have Existing) place {
	owners := e.Owners[r]
	if mode == AsPackaged {
		if i := slices.IndexFunc(have.Packed, func(refs []Ref) bool { return slices.Contains(refs, r) }); i >= 0 {
			return place{reason: "as packaged", packed: i + 1}
		}
	}
	switch {
	case mode == All:
		return place{reason: "all in one layer"}
	case mode != Composites:
		return place{reason: "alone", of: r}
	case r == e.Root:
		return place{reason: "root", of: r}
	case len(owners) > 1:
		return place{reason: "shared by " + Few(owners), owners: ownersKey(owners)}
	case ms[owners[0]].IsComposite():
		return place{reason: "composite " + owners[0].String()}
	}
	return place{reason: "top-level component", of: r}
}

// Few lists up to three refs; of more, the first two and a count.
func Few(refs []Ref) string {
	const most = 3
	if len(refs) <= most {
		return JoinRefs(refs, ", ")
	}
	return fmt.Sprintf("%s and %d more", JoinRefs(refs[:most-1], ", "), len(refs)-most+1)
}

// settle records which further refs a packed layer holds. A layer that lost a ref to a group or an
// exclusion cannot be used as it is.
func (l *PlannedLayer) settle(packed []Ref, places map[Ref]place, claims bool) {
	for _, r := range packed {
		if slices.Contains(l.Refs, r) {
			continue
		}
		if p, placed := places[r]; claims && placed && p.packed == 0 {
			l.AsIs, l.Extra = false, nil
			return
		}
		l.Extra = append(l.Extra, r)
	}
}

func (e Expansion) rootLast(l PlannedLayer) int {
	if e.Root != (Ref{}) && slices.Contains(l.Refs, e.Root) {
		return 1
	}
	return 0
}
