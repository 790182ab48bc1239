package flatten

import (
	"errors"
	"fmt"
	"slices"
)

// Mode says how refs come to their layers that no group and no exclusion names.
type Mode string

// The modes.
const (
	// None gives each ref a layer of its own.
	None Mode = "none"
	// Composites gives the root and each top-level component a layer of its
	// own, and puts the rest together by owner set: what one composite alone
	// brings is one layer with it, what several bring is one layer more.
	Composites Mode = "composites"
	// All puts everything in one layer, the root too.
	All Mode = "all"
	// Auto puts together what changes together, as far as a budget of layers
	// demands it. [Plan] refuses it: it takes more than an expansion, and
	// package auto plans it.
	Auto Mode = "auto"
	// AsPackaged keeps every layer as its source has it; what comes from no
	// layer gets one of its own.
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

// Existing says which layers there are before any is planned.
type Existing struct {
	// Packed are the refs of each layer that the sources have, in order:
	// what AsPackaged goes by.
	Packed [][]Ref
	// Below are refs that the build image has: patterns may match them, but the
	// plan leaves them out.
	Below []Ref
}

// LayerPlan says which refs share which layer, lowest layer first.
type LayerPlan []PlannedLayer

// PlannedLayer is one layer.
type PlannedLayer struct {
	// Refs are those for which the image's label names this layer, in the
	// order in which a layer that is built holds them (see [Neighbours]).
	Refs []Ref
	// AsIs means that the layer is one of Existing.Packed, to be used unread.
	AsIs bool
	// Extra are refs that such a layer holds besides: in an earlier layer too,
	// or not part of this image.
	Extra  []Ref
	Reason string // why these are together, or alone
}

// place is where a ref lies: refs of equal places share a layer.
type place struct {
	reason string
	of     Ref    // what the layer is about, where that makes it another one
	packed int    // 1 + index in Existing.Packed, or 0
	owners string // the owner set of what several share
}

// Plan decides on the layers of an expansion. Every ref comes to lie in just
// one layer. Layers and the refs in them have the order of the expansion, but
// for refs that share an id directory (see [Neighbours]), and for the layer of
// the root, which changes most often and so lies on top.
// All that is wrong with the grouping is reported at once.
func Plan(e Expansion, ms Modules, g Grouping, have Existing) (LayerPlan, error) {
	switch g.Mode {
	case "", None, Composites, All, AsPackaged:
	default:
		return nil, fmt.Errorf("unsupported mode %q of a layer plan", g.Mode)
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

// finish leaves out what lies below, and puts the refs of each layer in
// their final order.
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

// Claimed returns the layers that groups and exclusions ask for, whatever the
// mode is, in the order of the expansion, and what is wrong with them.
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
			errs = append(errs, fmt.Errorf("buildpack %s cannot be in two layers: %s and %s", r, before.reason, p.reason))
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
		claim(r, place{reason: "kept apart", of: r})
	}
	return places, errors.Join(errs...)
}

// place returns where the mode puts a ref, and why.
func (e Expansion) place(r Ref, ms Modules, mode Mode, have Existing) place {
	owners := e.Owners[r]
	if mode == AsPackaged {
		if i := slices.IndexFunc(have.Packed, func(refs []Ref) bool { return slices.Contains(refs, r) }); i >= 0 {
			return place{reason: "as packaged", packed: i + 1}
		}
	}
	switch {
	case mode == All:
		return place{reason: "everything together"}
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

// Few names refs, the first two and a count where they are more than three.
func Few(refs []Ref) string {
	const most = 3
	if len(refs) <= most {
		return JoinRefs(refs, ", ")
	}
	return fmt.Sprintf("%s and %d more", JoinRefs(refs[:most-1], ", "), len(refs)-most+1)
}

// settle notes what a packed layer holds besides its refs. One that had to give
// a ref to a group or an exclusion is not used as it is.
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
