package auto

import (
	"cmp"
	"slices"

	"laminate/flatten"
)

// candidates is how many kept layers are evaluated fully each time one may be opened. Trying all of
// them gains nothing.
const candidates = 8

// proposal is a candidate plan: the kept layers to open (regroup), and the groups of their modules
// and of the changed ones.
type proposal struct {
	open   []bool // by index of the kept layer
	groups []group
	cost   float64 // bytes now, and in the releases within the horizon
}

// regroup plans the layers of the changed modules, beside the kept layers. It opens kept layers if
// the budget requires it; and one by one if that pays off and several components are new: a single
// new one moves nothing else.
func (s *state) regroup(kept []group, changed []int, budget int) []group {
	open := make([]bool, len(kept))
	if len(kept) >= budget {
		open = s.forced(kept, changed, budget)
	}
	best := s.propose(kept, changed, open, budget)
	if s.fresh(changed) > 1 {
		best = s.improve(best, kept, changed, budget)
	}
	result := best.groups
	for i, g := range kept {
		if !best.open[i] {
			result = append(result, g)
		}
	}
	return result
}

// forced returns the layers to open for lack of room: those that are joined when kept layers and
// changed modules are merged down to the budget.
func (s *state) forced(kept []group, changed []int, budget int) []bool {
	open := make([]bool, len(kept))
	for i := range open {
		open[i] = true
	}
	at := map[int]int{}
	for i, g := range kept {
		at[g.previous] = i
	}
	for _, g := range s.model.merge(slices.Concat(kept, s.singles(changed)), budget) {
		if g.previous >= 0 {
			open[at[g.previous]] = false
		}
	}
	return open
}

// propose groups the changed modules and the opened layers within the rest of the budget.
func (s *state) propose(kept []group, changed []int, open []bool, budget int) proposal {
	members := slices.Clone(changed)
	for i, g := range kept {
		if open[i] {
			members = append(members, g.members...)
		}
	}
	slices.Sort(members)
	return s.settle(kept, open, s.singles(members), budget)
}

// settle merges groups until they fit beside the kept layers.
func (s *state) settle(kept []group, open []bool, groups []group, budget int) proposal {
	var now, later float64
	for i, g := range kept {
		if open[i] {
			now += g.size
		} else {
			later += g.rate
			budget--
		}
	}
	p := proposal{open: open, groups: s.model.merge(groups, budget)}
	p.cost = now + float64(horizon*(later+rates(p.groups)))
	return p
}

// improve opens kept layers one by one, always the one that gains most. Full regrouping is slow, so
// it is tried only for the candidates that are best when their members just join existing groups.
func (s *state) improve(best proposal, kept []group, changed []int, budget int) proposal {
	for {
		var tries []proposal
		for i, g := range kept {
			if best.open[i] || g.size >= s.mostGain(best, g) {
				continue
			}
			open := slices.Clone(best.open)
			open[i] = true
			tries = append(tries, s.settle(kept, open, append(s.singles(g.members), best.groups...), budget))
		}
		slices.SortStableFunc(tries, func(a, b proposal) int { return cmp.Compare(a.cost, b.cost) })
		better := best
		for _, t := range tries[:min(len(tries), candidates)] {
			if p := s.propose(kept, changed, t.open, budget); p.cost < better.cost {
				better = p
			}
		}
		if better.cost >= best.cost {
			return best
		}
		best = better
	}
}

// mostGain returns an upper bound of the gain of opening a layer: the cost of its members and of
// the groups beyond their cost in layers of their own.
func (s *state) mostGain(p proposal, opened group) float64 {
	more := opened.rate + rates(p.groups)
	for _, g := range append(slices.Clone(p.groups), opened) {
		for _, i := range g.members {
			more -= s.alone[i]
		}
	}
	return horizon * more
}

// fresh counts the changed components that the previous image does not have. It ignores modules
// that own themselves, as composites do: they change along with their components.
func (s *state) fresh(changed []int) (n int) {
	old := map[flatten.Ref]bool{}
	for _, refs := range s.in.Previous {
		for _, r := range refs {
			old[r] = true
		}
	}
	for _, i := range changed {
		if m := s.modules[i]; !old[m.Ref] && !slices.Contains(m.Owners, m.Ref) {
			n++
		}
	}
	return n
}
