package simulate

import (
	"cmp"
	"fmt"
	"slices"

	"laminate/builder/history"
	"laminate/flatten"
	"laminate/flatten/auto"
)

// Plan is a way to group buildpacks in layers.
type Plan struct {
	Name string
	// About is a short description.
	About string
	// Budgeted reports whether the plan depends on the budget.
	Budgeted bool
	// start starts a replay; the returned planner is called for each release in order.
	start func(r *replay, budget int) planner
}

// planner plans the layers of release i, after those of all before it.
type planner func(i int) (flatten.LayerPlan, error)

// Plans returns all plans.
func Plans() []Plan {
	return []Plan{
		{Name: "exploded", About: "one buildpack per layer, in the builder's order (--flatten=none): what changes, and no more", start: wishing(flatten.None)},
		{Name: "pack", About: "one buildpack per layer, in the order of their names, as pack has it", start: byName},
		{Name: "composites", About: "one layer per composite with what it alone brings, one per set of composites that share (--flatten=composites)", start: wishing(flatten.Composites)},
		{Name: "owner-sets", About: "the same, the composites' own files apart in one layer", start: grouping(byOwners)},
		{Name: "first-owner", About: "one layer per composite; what several bring is in the first that brings it", start: grouping(byFirstOwner)},
		{Name: "all", About: "everything in one layer (--flatten=all)", start: wishing(flatten.All)},
		{Name: "largest-alone", About: "a layer each for the largest, the rest in one", Budgeted: true, start: largestAlone},
		{Name: "auto", About: "what changes together, given the previous image (--flatten=auto)", Budgeted: true, start: automatic},
		{Name: "auto-fresh", About: "the same without a previous image: planned anew at every release", Budgeted: true, start: fresh},
		{Name: "auto-history", About: "the same as auto, knowing all earlier releases too", Budgeted: true, start: learning},
		{Name: "published", About: "the layers that the registry showed, where the history has them", start: published},
	}
}

// Names returns the names of all plans.
func Names() []string {
	var names []string
	for _, p := range Plans() {
		names = append(names, p.Name)
	}
	return names
}

// wishing plans like "create" with a mode.
func wishing(mode flatten.Mode) func(*replay, int) planner {
	return func(r *replay, _ int) planner {
		return func(i int) (flatten.LayerPlan, error) {
			return flatten.Plan(r.releases[i].expansion, r.modules, flatten.Grouping{Mode: mode}, flatten.Existing{})
		}
	}
}

func byName(r *replay, _ int) planner {
	return func(i int) (flatten.LayerPlan, error) {
		var plan flatten.LayerPlan
		for _, ref := range slices.SortedFunc(slices.Values(r.releases[i].expansion.Refs), flatten.Ref.Compare) {
			plan = append(plan, flatten.PlannedLayer{Refs: []flatten.Ref{ref}})
		}
		return plan, nil
	}
}

// grouping groups refs with equal names.
func grouping(name func(*replay, flatten.Expansion, flatten.Ref) string) func(*replay, int) planner {
	return func(r *replay, _ int) planner {
		return func(i int) (flatten.LayerPlan, error) {
			var plan flatten.LayerPlan
			at := map[string]int{}
			e := r.releases[i].expansion
			for _, ref := range e.Refs {
				n := name(r, e, ref)
				k, known := at[n]
				if !known {
					k = len(plan)
					at[n] = k
					plan = append(plan, flatten.PlannedLayer{})
				}
				plan[k].Refs = append(plan[k].Refs, ref)
			}
			return plan, nil
		}
	}
}

func byOwners(r *replay, e flatten.Expansion, ref flatten.Ref) string {
	if r.modules[ref].IsComposite() {
		return ""
	}
	return flatten.JoinRefs(e.Owners[ref], "\n")
}

func byFirstOwner(r *replay, e flatten.Expansion, ref flatten.Ref) string {
	first := slices.IndexFunc(e.TopLevel, func(top flatten.Ref) bool { return r.leads(top, ref) })
	return e.TopLevel[first].String()
}

// leads reports whether a ref is reached from another. Owner sets are not enough: top-level
// components own only themselves.
func (r *replay) leads(from, to flatten.Ref) bool {
	return from == to || slices.ContainsFunc(r.modules[from].Order.Entries(), func(e flatten.Entry) bool { return r.leads(e.Ref(), to) })
}

func largestAlone(r *replay, budget int) planner {
	return func(i int) (flatten.LayerPlan, error) {
		refs := slices.Clone(r.releases[i].expansion.Refs)
		slices.SortStableFunc(refs, func(a, b flatten.Ref) int { return cmp.Compare(r.size(b), r.size(a)) })
		var plan flatten.LayerPlan
		for k, ref := range refs {
			if k >= budget {
				plan[budget-1].Refs = append(plan[budget-1].Refs, ref)
				continue
			}
			plan = append(plan, flatten.PlannedLayer{Refs: []flatten.Ref{ref}})
		}
		return plan, nil
	}
}

// automatic plans like "create --flatten=auto".
func automatic(r *replay, budget int) planner {
	var previous [][]flatten.Ref
	return func(i int) (flatten.LayerPlan, error) {
		plan, err := auto.Plan(auto.Input{Modules: r.releases[i].inputs, Budget: budget, Previous: previous})
		previous = layersOf(plan)
		return plan, err
	}
}

func fresh(r *replay, budget int) planner {
	return func(i int) (flatten.LayerPlan, error) {
		return auto.Plan(auto.Input{Modules: r.releases[i].inputs, Budget: budget})
	}
}

func learning(r *replay, budget int) planner {
	var previous [][]flatten.Ref
	var seen auto.History
	return func(i int) (flatten.LayerPlan, error) {
		seen.Add(r.releases[i].inputs)
		plan, err := auto.Plan(auto.Input{Modules: r.releases[i].inputs, Budget: budget, Previous: previous, History: &seen})
		previous = layersOf(plan)
		return plan, err
	}
}

func layersOf(plan flatten.LayerPlan) [][]flatten.Ref {
	var layers [][]flatten.Ref
	for _, l := range plan {
		layers = append(layers, l.Refs)
	}
	return layers
}

// published returns the layers of the published image.
func published(r *replay, _ int) planner {
	return func(i int) (flatten.LayerPlan, error) {
		release := r.file.Releases[i]
		if release.Layers == nil {
			return nil, fmt.Errorf("release %s: no layers in the history", release.Version)
		}
		var plan flatten.LayerPlan
		for _, l := range release.Layers {
			if len(l.Refs) > 0 {
				plan = append(plan, flatten.PlannedLayer{Refs: l.Refs})
			}
		}
		return plan, nil
	}
}

// inputs returns the modules of an expansion for the planner.
func inputs(f *history.File, e flatten.Expansion) []auto.Module {
	sizes := map[flatten.Ref]int64{}
	for _, r := range e.Refs {
		compressed, _ := f.Size(r)
		sizes[r] = unpacked * compressed
	}
	return auto.Modules(e, sizes)
}

// unpacked is the approximate ratio of unpacked to compressed size. The planner uses unpacked
// sizes.
const unpacked = 3
