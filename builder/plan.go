package builder

import (
	"context"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/engine"
)

// Count is the number of a builder's layers, by origin.
type Count struct {
	Base          int
	Lifecycle     int
	Configuration int
	Whiteouts     int
	// Modules are the numbers of layers of buildpacks and extensions, by what requires them: a
	// composite, several, or none.
	Modules []Origin
	// Budget is the most layers.
	Budget int
}

// Origin is a number of layers and what requires them.
type Origin struct {
	Name   string
	Layers int
}

// Total returns the number of layers of the builder.
func (c Count) Total() int {
	n := c.Base + c.Lifecycle + c.Configuration + c.Whiteouts
	for _, o := range c.Modules {
		n += o.Layers
	}
	return n
}

// plan plans and counts the layers, and returns the job.
func (c *contents) plan(ctx context.Context, maker *engine.Maker) (*Job, error) {
	j := &Job{Target: c.target, Expansion: c.expansion, Overridden: c.overridden, contents: *c, maker: maker}
	grouping := c.options.Grouping
	have := flatten.Existing{Packed: j.packed}
	for _, r := range j.Expansion.Refs {
		if !slices.Contains(j.added[flatten.Buildpack], r) { // the build image has it
			have.Below = append(have.Below, r)
		}
	}
	for _, r := range j.added[flatten.Extension] {
		j.Extensions = append(j.Extensions, flatten.PlannedLayer{Refs: []flatten.Ref{r}, Reason: "extension"})
	}
	rest := j.count(nil)
	buildpacks := j.modules[flatten.Buildpack]
	var err error
	if j.Plan, _, err = maker.Plan(ctx, buildpacks, j.Expansion, j.added[flatten.Buildpack], grouping, have, rest.Budget-rest.Total()); err != nil {
		return nil, err
	}
	j.Layers = j.count(j.Plan)
	if j.Layers.Total() <= j.Layers.Budget {
		return j, nil
	}
	asked, err := grouping.Claimed(j.Expansion, have)
	if err != nil {
		return nil, err
	}
	excluded, err := flatten.Grouping{Exclude: grouping.Exclude}.Claimed(j.Expansion, have)
	if err != nil {
		return nil, err
	}
	over := &OverBudgetError{Layers: j.Layers, Asked: len(asked), Excluded: len(excluded)}
	for _, mode := range []flatten.Mode{flatten.Composites, flatten.All} {
		grouping.Mode = mode
		other, err := flatten.Plan(j.Expansion, buildpacks.Plain(), grouping, have)
		if err != nil {
			return nil, err
		}
		if over.Least = j.count(other).Total(); over.Least <= j.Layers.Budget {
			over.Fits = mode
			break
		}
	}
	return nil, over
}

func (j *Job) count(plan flatten.LayerPlan) Count {
	c := Count{Base: j.base.layers, Lifecycle: 1, Configuration: 1, Budget: j.options.MaxLayers}
	if c.Budget <= 0 {
		c.Budget = flatten.Budget(!j.system.Empty())
	}
	c.Budget = min(c.Budget, flatten.EngineLimit)
	if len(j.whiteouts) > 0 {
		c.Whiteouts = 1
	}
	for _, l := range plan {
		c.bring(j.origin(l))
	}
	for range j.Extensions {
		c.bring("extensions")
	}
	return c
}

// origin returns what requires a layer: its group, or what requires the first of its refs.
func (j *Job) origin(l flatten.PlannedLayer) string {
	owners := j.Expansion.Owners[l.Refs[0]]
	others := func(r flatten.Ref) bool { return !slices.Equal(j.Expansion.Owners[r], owners) }
	switch {
	case !l.AsIs && slices.ContainsFunc(l.Refs, others):
		return l.Reason
	case len(owners) > 1:
		return "shared by several composites"
	case j.modules[flatten.Buildpack][owners[0]].IsComposite():
		return "composite " + owners[0].String()
	}
	return "top-level components"
}

func (c *Count) bring(origin string) {
	i := slices.IndexFunc(c.Modules, func(o Origin) bool { return o.Name == origin })
	if i < 0 {
		i = len(c.Modules)
		c.Modules = append(c.Modules, Origin{Name: origin})
	}
	c.Modules[i].Layers++
}

// OverBudgetError reports that a builder exceeds the limit of layers.
type OverBudgetError struct {
	Layers Count
	// Fits is a mode under which the builder would fit, or "".
	Fits flatten.Mode
	// Least is its number of layers in that mode, or the minimum of all modes.
	Least int
	// Asked is how many of the layers groups and exclusions ask for, and Excluded
	// how many of these exclusions alone.
	Asked, Excluded int
}

func (e *OverBudgetError) Error() string {
	return fmt.Sprintf("too many layers: %d, the limit is %d", e.Layers.Total(), e.Layers.Budget)
}
