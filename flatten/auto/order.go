package auto

import (
	"cmp"
	"fmt"
	"slices"

	"laminate/flatten"
)

// placed is a layer and its sort keys.
type placed struct {
	flatten.PlannedLayer
	previous int // its index in the previous image, or -1
	chance   float64
}

// layers sorts the groups and the fixed layers: first those of the previous image, in its order;
// then new fixed ones; then the others, by their chance to change, then by their first ref.
func (s *state) layers(groups []group) flatten.LayerPlan {
	was := map[string]int{}
	for i, refs := range s.in.Previous {
		if _, twice := was[key(refs)]; !twice {
			was[key(refs)] = i
		}
	}
	var all []placed
	for _, l := range s.in.Fixed {
		all = append(all, placed{PlannedLayer: l, previous: place(was, l.Refs), chance: -1})
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(slices.Min(a.members), slices.Min(b.members)) })
	for _, g := range groups {
		l := placed{chance: g.chance}
		slices.SortFunc(g.members, func(a, b int) int { return s.place[a] - s.place[b] })
		for _, i := range g.members {
			l.Refs = append(l.Refs, s.modules[i].Ref)
		}
		l.Reason = s.reason(g)
		if l.previous = place(was, l.Refs); l.previous >= 0 {
			l.Refs = slices.Clone(s.in.Previous[l.previous])
			l.Reason += ", as in the previous image"
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		if a.previous >= 0 && b.previous >= 0 {
			return a.previous - b.previous
		}
		return cmp.Or(boolean(a.previous < 0)-boolean(b.previous < 0), cmp.Compare(a.chance, b.chance))
	})
	plan := make(flatten.LayerPlan, len(all))
	for i, l := range all {
		plan[i] = l.PlannedLayer
		plan[i].Refs = flatten.Neighbours(l.Refs)
	}
	return plan
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// key returns a string that does not depend on the order of the refs.
func key(refs []flatten.Ref) string {
	return flatten.JoinRefs(slices.SortedFunc(slices.Values(refs), flatten.Ref.Compare), "\n")
}

func place(was map[string]int, refs []flatten.Ref) int {
	if i, is := was[key(refs)]; is {
		return i
	}
	return -1
}

// reason returns why the members of a group share a layer.
func (s *state) reason(g group) string {
	if len(g.members) == 1 {
		return "alone"
	}
	owners := s.modules[g.members[0]].Owners
	switch {
	case len(g.shares) > 1:
		return fmt.Sprintf("cheapest together, of %d owner sets", len(g.shares))
	case len(owners) == 1:
		return "change with " + owners[0].String()
	}
	return fmt.Sprintf("change with %s and %d more", owners[0], len(owners)-1)
}
