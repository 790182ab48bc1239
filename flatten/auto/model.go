package auto

import (
	"slices"

	"laminate/flatten"
)

// The parameters. docs/layer-plan.md describes how they were chosen, and how little most of them
// matter.
const (
	// ownerChanges is the chance that a composite changes in a release. For each further owner, the
	// chance that all of them change is multiplied by eachOwner.
	ownerChanges = 0.15
	eachOwner    = 0.6
	// swept is the chance that a sweep changes a ref that it reaches.
	swept = 0.9
	// reachNew is the chance that a sweep reaches a ref that is new in this release. For others it
	// depends on the position of their layer in the previous image, from reachLow for the lowest to
	// reachHigh for the highest.
	reachNew  = 0.6
	reachLow  = 0.1
	reachHigh = 0.5
	// inTransit is the factor on it for an id with several versions.
	inTransit = 0.75
	// stray is the chance that a ref changes without a sweep, relative to the chance that a sweep
	// reaches it.
	stray = 0.5
	// horizon is the number of future releases whose bytes are weighed against the bytes that
	// regrouping a layer costs now.
	horizon = 10
)

// classes is the number of steps of reach: 1, 0.9 down to 0.1.
const classes = 10

func reachOf(class int) float64 { return float64(classes-class) / classes }

// model estimates the chance that layers change.
type model struct {
	sizes []float64
	cell  []int // of each module
	class []int // of each module
	// changes is the chance, for each cell, that all of its owners change.
	changes []float64
	// depth is the chance that a sweep reaches exactly down to a class.
	depth [classes]float64
	// spared is the chance that a sweep changes none of n refs that it reaches; still is the
	// chance, by class, that n refs that it does not reach stay unchanged.
	spared []float64
	still  [classes][]float64
	// history and calendars are set if there is a history.
	history   *History
	calendars []calendar // of each module
}

func newModel(modules []Module, previous [][]flatten.Ref, h *History) *model {
	m := &model{spared: powers(1-swept, len(modules)), history: h}
	for c := range classes {
		m.depth[c] = reachOf(c)
		if c+1 < classes {
			m.depth[c] -= reachOf(c + 1)
		}
		m.still[c] = powers(1-stray*reachOf(c), len(modules))
	}
	m.assign(modules, reaches(modules, previous))
	for _, module := range modules {
		m.calendars = append(m.calendars, h.calendarOf(module.Ref.ID))
	}
	return m
}

// powers returns base to the power of 0 to n. (math.Pow differs between machines.)
func powers(base float64, n int) []float64 {
	p := make([]float64, n+1)
	p[0] = 1
	for i := 1; i <= n; i++ {
		p[i] = p[i-1] * base
	}
	return p
}

// assign assigns cells and classes to the modules.
func (m *model) assign(modules []Module, reach []float64) {
	cells := map[string]int{}
	versions := map[string]int{}
	for _, module := range modules {
		versions[module.Ref.ID]++
	}
	for i, module := range modules {
		owners, chance := slices.SortedFunc(slices.Values(module.Owners), flatten.Ref.Compare), ownerChanges
		if len(owners) == 0 { // the root of a package, which changes with every release
			owners, chance = []flatten.Ref{module.Ref}, 1
		}
		for range len(owners) - 1 {
			chance *= eachOwner
		}
		name := flatten.JoinRefs(owners, "\n")
		cell, known := cells[name]
		if !known {
			cell = len(m.changes)
			cells[name] = cell
			m.changes = append(m.changes, chance)
		}
		r := reach[i]
		switch {
		case slices.Contains(owners, module.Ref): // changes with itself
			r = 1
		case versions[module.Ref.ID] > 1:
			r *= inTransit
		}
		m.sizes = append(m.sizes, float64(module.Size))
		m.cell = append(m.cell, cell)
		m.class = append(m.class, min(max(int(float64(classes*(1-r))+0.5), 0), classes-1))
	}
}

// reaches returns the chance, for each module, that a sweep reaches it.
func reaches(modules []Module, previous [][]flatten.Ref) []float64 {
	at := map[flatten.Ref]float64{}
	for i, refs := range previous {
		for _, r := range refs {
			at[r] = (float64(i) + 0.5) / float64(len(previous))
		}
	}
	reach := make([]float64, len(modules))
	for i, m := range modules {
		reach[i] = reachNew
		if height, old := at[m.Ref]; old {
			reach[i] = reachLow + float64((reachHigh-reachLow)*height)
		}
	}
	return reach
}

// chance returns the chance that a release changes a layer, from the model's chance that it stays
// unchanged and from its calendar.
func (m *model) chance(unchanged float64, c *calendar) float64 {
	if m.history == nil {
		return 1 - unchanged
	}
	return float64((1-belief)*(1-unchanged)) + float64(belief*m.history.chance(c))
}

// unchanged returns the chance that a release changes none of a layer's members in one cell, given
// their number by class. The conversions prevent fused multiply-add, which rounds differently on
// some machines.
func (m *model) unchanged(cell int, n *[classes]uint16) float64 {
	var beyond [classes + 1]float64 // the chance that the classes from this one on stay unchanged
	beyond[classes] = 1
	for c := classes - 1; c >= 0; c-- {
		beyond[c] = beyond[c+1] * m.still[c][n[c]]
	}
	reached, all := 0, 0.0 // a sweep always reaches class 0
	for c := range classes {
		reached += int(n[c])
		all += float64(m.depth[c] * m.spared[reached] * beyond[c+1])
	}
	return 1 - float64(m.changes[cell]*(1-all))
}
