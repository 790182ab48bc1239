package flatten

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mode says how refs that nothing else was said about come to their layers.
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
)

// Wishes are what a user says about the layers. The zero value is [None].
type Wishes struct {
	Mode Mode
	// Groups are lists of patterns (see [Select]); what a list means shares a layer.
	Groups [][]string
	// Exclude are patterns; what they mean keeps a layer of its own.
	Exclude []string
}

// LayerPlan says which refs share which layer, lowest layer first.
type LayerPlan []PlannedLayer

// PlannedLayer is one layer: its refs in the order in which it holds them.
type PlannedLayer struct {
	Refs   []Ref
	Reason string // why these are together, or alone
}

// Plan decides on the layers of an expansion. Every ref comes to lie in just
// one layer. Layers and the refs in them have the order of the expansion, but
// for the layer of the root, which changes most often and so lies on top.
// Everything in the wishes that is wrong is reported at once.
func Plan(e Expansion, ms Modules, w Wishes) (LayerPlan, error) {
	reason := map[Ref]string{} // what decides for the ref
	claim := func(refs []Ref, why string) (errs []error) {
		for _, r := range refs {
			if before := reason[r]; before != "" && before != why {
				errs = append(errs, fmt.Errorf("buildpack %s cannot be in two layers: %s and %s", r, told(before, r), told(why, r)))
			}
			reason[r] = why
		}
		return errs
	}
	var errs []error
	for i, patterns := range w.Groups {
		refs, err := selectAll(patterns, e.Refs)
		errs = append(errs, err)
		errs = append(errs, claim(refs, fmt.Sprintf("group %d", i+1))...)
	}
	excluded, err := selectAll(w.Exclude, e.Refs)
	errs = append(errs, err)
	for _, r := range excluded {
		errs = append(errs, claim([]Ref{r}, "kept apart: "+r.String())...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, r := range e.Refs {
		if reason[r] == "" {
			reason[r] = e.reason(r, ms, w.Mode)
		}
	}
	return e.gather(reason), nil
}

// reason says why a ref lies where the mode puts it. Refs of equal reasons
// share a layer.
func (e Expansion) reason(r Ref, ms Modules, m Mode) string {
	owners := e.Owners[r]
	switch {
	case m == All:
		return "everything together"
	case m != Composites:
		return "alone: " + r.String()
	case r == e.Root:
		return "root " + r.String()
	case len(owners) > 1:
		return "shared by " + join(owners, ", ")
	case ms[owners[0]].IsComposite():
		return "composite " + owners[0].String()
	}
	return "top-level component " + r.String()
}

// told is a reason as it is told: without the ref that makes it unique.
func told(reason string, r Ref) string { return strings.TrimSuffix(reason, ": "+r.String()) }

func (e Expansion) gather(reason map[Ref]string) LayerPlan {
	var plan LayerPlan
	at := map[string]int{}
	for _, r := range e.Refs {
		i, known := at[reason[r]]
		if !known {
			i = len(plan)
			at[reason[r]] = i
			plan = append(plan, PlannedLayer{Reason: told(reason[r], r)})
		}
		plan[i].Refs = append(plan[i].Refs, r)
	}
	slices.SortStableFunc(plan, func(a, b PlannedLayer) int { return e.rootLast(a) - e.rootLast(b) })
	return plan
}

func (e Expansion) rootLast(l PlannedLayer) int {
	if e.Root != (Ref{}) && slices.Contains(l.Refs, e.Root) {
		return 1
	}
	return 0
}
