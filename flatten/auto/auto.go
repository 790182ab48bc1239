package auto

import (
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
)

// Input is everything that a plan depends on.
type Input struct {
	// Modules are the modules to plan. Their order matters only for the order of refs within new
	// layers (see [flatten.Neighbours]).
	Modules []Module
	// Budget is the most layers, including the fixed ones; at least 1.
	Budget int
	// Previous are the refs of each layer of the image to replace, lowest first, however they were
	// planned. A zero ref stands for content that the new image does not have. Without Previous,
	// everything is new.
	Previous [][]flatten.Ref
	// Fixed are layers that are already planned, of groups and exclusions. Plan only chooses their
	// positions. None of their refs is in Modules.
	Fixed flatten.LayerPlan
	// History is the history of earlier releases; nil if only Previous is known.
	History *History
}

// Module is a buildpack to plan.
type Module struct {
	Ref flatten.Ref
	// Size is how many bytes it adds to a layer. All sizes must be of one kind; labels have
	// uncompressed sizes.
	Size int64
	// Owners is its owner set (see [flatten.Expansion]), in any order. A module without owners, the
	// root of a package, changes with every release.
	Owners []flatten.Ref
}

// sizeLimit keeps sums of sizes exact in float64.
const sizeLimit = 1 << 46

// Modules returns the modules of an expansion. A missing size counts as 0.
func Modules(e flatten.Expansion, sizes map[flatten.Ref]int64) []Module {
	ms := make([]Module, len(e.Refs))
	for i, r := range e.Refs {
		ms[i] = Module{Ref: r, Size: sizes[r], Owners: e.Owners[r]}
	}
	return ms
}

// Plan plans the layers. It is deterministic on every machine, and idempotent: planning again with
// its result as Previous changes nothing.
//
// Layers of the previous image keep their order. New ones follow above, the likeliest to change on
// top. If the budget allows, each module gets a layer of its own. Ties are broken by id and
// version.
func Plan(in Input) (flatten.LayerPlan, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s := newState(in)
	budget := in.Budget - len(in.Fixed)
	if len(s.modules) <= budget {
		return s.layers(s.singles(s.all())), nil
	}
	kept, changed := s.split()
	if len(changed) == 0 && len(kept) <= budget {
		return s.layers(kept), nil
	}
	return s.layers(s.regroup(kept, changed, budget)), nil
}

// check reports invalid input.
func (in Input) check() error {
	var errs []error
	if in.Budget < 1 {
		errs = append(errs, fmt.Errorf("budget of %d layers: the minimum is 1", in.Budget))
	} else if need := min(len(in.Modules), 1) + len(in.Fixed); need > in.Budget {
		errs = append(errs, fmt.Errorf("budget of %d layers: the minimum is %d, since %d are fixed", in.Budget, need, len(in.Fixed)))
	}
	seen := map[flatten.Ref]bool{}
	for _, l := range in.Fixed {
		for _, r := range l.Refs {
			seen[r] = true
		}
	}
	for _, m := range in.Modules {
		if seen[m.Ref] {
			errs = append(errs, fmt.Errorf("duplicate buildpack %s", m.Ref))
		}
		seen[m.Ref] = true
		if m.Size < 0 || m.Size > sizeLimit {
			errs = append(errs, fmt.Errorf("buildpack %s: invalid size %d; the range is 0 to %d", m.Ref, m.Size, int64(sizeLimit)))
		}
	}
	return errors.Join(errs...)
}

// state is the state of planning. Modules are identified by their index in modules.
type state struct {
	in      Input
	modules []Module // sorted by ref, to break ties
	place   []int    // index of each module in in.Modules
	model   *model
	alone   []float64 // the rate of each module in a layer of its own
}

func newState(in Input) *state {
	s := &state{in: in, place: make([]int, len(in.Modules))}
	for i := range s.place {
		s.place[i] = i
	}
	slices.SortFunc(s.place, func(a, b int) int { return in.Modules[a].Ref.Compare(in.Modules[b].Ref) })
	for _, i := range s.place {
		s.modules = append(s.modules, in.Modules[i])
	}
	s.model = newModel(s.modules, in.Previous, in.History)
	for i := range s.modules {
		s.alone = append(s.alone, s.model.single(i).rate)
	}
	return s
}

// split returns the previous layers whose content is unchanged, and the modules that are new or in
// a layer that changed. A ref in two layers belongs to the lower one.
func (s *state) split() (kept []group, changed []int) {
	index := map[flatten.Ref]int{}
	for i, m := range s.modules {
		index[m.Ref] = i
	}
	taken := make([]bool, len(s.modules))
	for at, refs := range s.in.Previous {
		var whole []int
		for _, r := range refs {
			i, there := index[r]
			if !there || taken[i] || slices.Contains(whole, i) {
				whole = nil
				break
			}
			whole = append(whole, i)
		}
		for _, i := range whole {
			taken[i] = true
		}
		if len(whole) > 0 {
			g := s.model.group(whole)
			g.previous, g.fee = at, g.size
			kept = append(kept, g)
		}
	}
	for i, t := range taken {
		if !t {
			changed = append(changed, i)
		}
	}
	return kept, changed
}

func (s *state) all() []int {
	all := make([]int, len(s.modules))
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *state) singles(members []int) []group {
	gs := make([]group, len(members))
	for i, m := range members {
		gs[i] = s.model.single(m)
	}
	return gs
}
