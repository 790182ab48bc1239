package relayer

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/image"
)

// plan plans the layers with buildpacks. A layer that stays as it is is not read.
func (j *Job) plan(ctx context.Context, hasSystem bool) error {
	below, above := j.kept()
	j.Others = len(below) + len(above)
	room := j.budget(hasSystem) - j.Others
	var have flatten.Existing
	for _, l := range j.old {
		have.Packed = append(have.Packed, l.Refs)
	}
	grouping := j.options.Grouping
	plan, mode, err := j.maker.Plan(ctx, j.modules, j.Expansion, j.Expansion.Refs, grouping, have, room)
	if err != nil {
		return err
	}
	at := make([]int, len(plan))
	for i, l := range plan {
		at[i] = j.stays(l)
		// A layer with several versions of a buildpack is read unless a label describes it: early versions
		// of laminate wrote paths twice there, and such a layer is built again.
		plan[i].AsIs = at[i] >= 0 && !flatten.ShareIDDir(l.Refs)
	}
	j.Plan = plan
	if mode != flatten.Auto { // which has an order of its own
		j.Plan = keptFirst(plan, at)
	}
	if j.Budget > 0 && j.Layers() > j.Budget {
		return &TooManyLayersError{Layers: j.Layers(), Others: j.Others, Max: j.Budget, Mode: mode}
	}
	return nil
}

// budget returns the most layers of the image, for an automatic plan too, and sets j.Budget if that
// is a limit for every plan.
func (j *Job) budget(hasSystem bool) int {
	j.Budget = min(j.options.MaxLayers, flatten.EngineLimit)
	if j.Budget <= 0 && (!j.IsBuildpackage() || j.options.Grouping.Mode == flatten.Auto) {
		j.Budget = flatten.Budget(hasSystem)
	}
	return j.Budget
}

// stays returns the index of the old layer with exactly the refs of a planned one, or -1.
func (j *Job) stays(l flatten.PlannedLayer) int {
	refs := slices.SortedFunc(slices.Values(l.Refs), flatten.Ref.Compare)
	return slices.IndexFunc(j.old, func(o *image.Layer) bool { return slices.Equal(o.Refs, refs) })
}

// keptFirst moves the layers that stay below those that are new, in the order that they have: a
// client of Docker's engine reuses only the layers below the first change.
func keptFirst(plan flatten.LayerPlan, at []int) flatten.LayerPlan {
	order := make([]int, len(plan))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch stayA, stayB := at[a] >= 0, at[b] >= 0; {
		case stayA && stayB:
			return at[a] - at[b]
		case stayA:
			return -1
		case stayB:
			return 1
		}
		return 0
	})
	var sorted flatten.LayerPlan
	for _, i := range order {
		sorted = append(sorted, plan[i])
	}
	return sorted
}

// TooManyLayersError reports that a plan exceeds the limit of layers.
type TooManyLayersError struct {
	// Layers is the number of layers; Others of them hold no buildpacks.
	Layers, Others int
	Max            int
	Mode           flatten.Mode
}

func (e *TooManyLayersError) Error() string {
	return fmt.Sprintf("too many layers: %d, the limit is %d; %d of them hold no buildpacks", e.Layers, e.Max, e.Others)
}

// Outlook is the effect of a plan on users who have the previous image: the one that is replaced or,
// if there is none, the image itself.
type Outlook struct {
	// Outlook covers the layers of buildpacks.
	engine.Outlook
	// Besides is the number of other layers that the previous image lacks.
	Besides int
}

// Outlook returns the effect of the plan, without building layers.
func (j *Job) Outlook(ctx context.Context) (Outlook, error) {
	resolved, err := j.maker.Resolve(ctx, j.modules, j.Plan)
	if err != nil {
		return Outlook{}, err
	}
	below, above := j.kept()
	o, err := j.maker.Outlook(ctx, j.modules, resolved, diffIDs(below))
	if err != nil {
		return Outlook{}, err
	}
	besides := 0
	for _, l := range slices.Concat(below, above) {
		if o.Previous != "" && !j.maker.Inherits(l.Diff, false) {
			besides++
		}
	}
	return Outlook{o, besides}, nil
}

// kept returns the layers without buildpacks: those below the highest layer with buildpacks, and
// those above.
func (j *Job) kept() (below, above []*image.Layer) {
	top := j.old[len(j.old)-1]
	into := &below
	for _, l := range j.image.Contents() {
		if l == top {
			into = &above
		}
		if !j.isOld(l) {
			*into = append(*into, l)
		}
	}
	return below, above
}

// isOld reports whether a layer holds buildpacks. An image may have such a layer twice; labels mean
// the upper one, and the lower one goes with it.
func (j *Job) isOld(l *image.Layer) bool {
	return slices.ContainsFunc(j.old, func(o *image.Layer) bool { return o.Diff == l.Diff })
}

func diffIDs(layers []*image.Layer) []v1.Hash {
	ids := []v1.Hash{}
	for _, l := range layers {
		ids = append(ids, l.Diff)
	}
	return ids
}
