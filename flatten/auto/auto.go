package auto

import (
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
)

// Input is all that a plan depends on.
type Input struct {
	// Modules are what the layers have to hold. New layers hold them in this
	// order (see [flatten.Neighbours]); nothing else depends on it.
	Modules []Module
	// Budget is how many layers there may be, with the fixed ones: 1 at least.
	Budget int
	// Previous are the layers of the image that this one replaces, lowest
	// first, each with its refs; who planned them does not matter. A zero ref
	// stands for content that the new image does not have. Without Previous,
	// everything counts as new.
	Previous [][]flatten.Ref
	// Fixed are layers that somebody else has decided on. The plan has them as
	// they are, none of their refs is in Modules, and only their places are
	// found here.
	Fixed flatten.LayerPlan
	// History is what earlier releases had; nil where only Previous is known.
	History *History
}

// Module is a buildpack to be put in a layer.
type Module struct {
	Ref flatten.Ref
	// Size is what it adds to a layer, in bytes. Which bytes does not matter,
	// if all sizes count the same ones; uncompressed is what labels tell.
	Size int64
	// Owners are its owner set (see [flatten.Expansion]), in any order. What
	// has none, the root of a package, changes with every release.
	Owners []flatten.Ref
}

// sizeLimit keeps sums of sizes exact.
const sizeLimit = 1 << 46

// Modules gives the modules of an expansion. A ref without a size counts as
// empty.
func Modules(e flatten.Expansion, sizes map[flatten.Ref]int64) []Module {
	ms := make([]Module, len(e.Refs))
	for i, r := range e.Refs {
		ms[i] = Module{Ref: r, Size: sizes[r], Owners: e.Owners[r]}
	}
	return ms
}

// Plan decides on the layers. The same input gives the same plan on every
// machine, and planning again what is planned already changes nothing.
//
// Layers that the previous image has stay in their order, those that are new
// lie above, the likeliest to change again on top. Where the budget has room
// for a layer each, each module gets one. Equal choices fall to the refs that
// come first by id and version.
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

// check reports input of which no plan can be made.
func (in Input) check() error {
	var errs []error
	if in.Budget < 1 {
		errs = append(errs, fmt.Errorf("budget of %d layers: it takes 1 at least", in.Budget))
	} else if need := min(len(in.Modules), 1) + len(in.Fixed); need > in.Budget {
		errs = append(errs, fmt.Errorf("budget of %d layers: it takes %d at least, since %d are fixed", in.Budget, need, len(in.Fixed)))
	}
	seen := map[flatten.Ref]bool{}
	for _, l := range in.Fixed {
		for _, r := range l.Refs {
			seen[r] = true
		}
	}
	for _, m := range in.Modules {
		if seen[m.Ref] {
			errs = append(errs, fmt.Errorf("buildpack %s is to be planned twice", m.Ref))
		}
		seen[m.Ref] = true
		if m.Size < 0 || m.Size > sizeLimit {
			errs = append(errs, fmt.Errorf("buildpack %s: size %d is not from 0 to %d", m.Ref, m.Size, int64(sizeLimit)))
		}
	}
	return errors.Join(errs...)
}

// state is a plan in the making. Modules go by their index in modules.
type state struct {
	in      Input
	modules []Module // by ref: that breaks ties
	place   []int    // where a module stands in in.Modules
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

// split tells previous layers that hold what they held from modules that are
// new or have lost a neighbour. A ref that stands in two layers belongs to the
// lower one.
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
