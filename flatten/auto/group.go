package auto

import (
	"math"
	"slices"
)

// group is a candidate for a layer.
type group struct {
	members []int
	size    float64
	shares  []share // by cell
	changed calendar
	// chance is the chance that a release changes the group; rate is the expected number of bytes
	// pulled again per release.
	chance, rate float64
	// previous is the index of the same layer in the previous image, or -1.
	previous int
	// fee is how many bytes are pulled now if the group changes.
	fee float64
}

// share is a group's members in one cell.
type share struct {
	cell      int
	n         [classes]uint16 // number of members by class
	unchanged float64
}

func (m *model) single(i int) group {
	g := group{members: []int{i}, size: m.sizes[i], shares: []share{{cell: m.cell[i]}}, changed: m.calendars[i], previous: -1}
	s := &g.shares[0]
	s.n[m.class[i]] = 1
	s.unchanged = m.unchanged(s.cell, &s.n)
	g.chance = m.chance(s.unchanged, &g.changed)
	g.rate = g.size * g.chance
	return g
}

func (m *model) group(members []int) group {
	g := m.single(members[0])
	for _, i := range members[1:] {
		other := m.single(i)
		g = m.join(&g, &other)
	}
	return g
}

// joined returns the chance that a release changes the union of two groups.
func (m *model) joined(a, b *group) float64 {
	unchanged := 1.0
	i, j := 0, 0
	for i < len(a.shares) && j < len(b.shares) {
		switch x, y := &a.shares[i], &b.shares[j]; {
		case x.cell < y.cell:
			unchanged *= x.unchanged
			i++
		case y.cell < x.cell:
			unchanged *= y.unchanged
			j++
		default:
			n := x.n
			for c := range n {
				n[c] += y.n[c]
			}
			unchanged *= m.unchanged(x.cell, &n)
			i, j = i+1, j+1
		}
	}
	for ; i < len(a.shares); i++ {
		unchanged *= a.shares[i].unchanged
	}
	for ; j < len(b.shares); j++ {
		unchanged *= b.shares[j].unchanged
	}
	if m.history == nil {
		return 1 - unchanged
	}
	changed := a.changed.or(&b.changed)
	return m.chance(unchanged, &changed)
}

// join returns the union of two groups.
func (m *model) join(a, b *group) group {
	g := group{members: slices.Concat(a.members, b.members), size: a.size + b.size, chance: m.joined(a, b), changed: a.changed.or(&b.changed), previous: -1}
	g.rate = g.size * g.chance
	g.shares = make([]share, 0, len(a.shares)+len(b.shares))
	i, j := 0, 0
	for i < len(a.shares) || j < len(b.shares) {
		switch {
		case j == len(b.shares) || i < len(a.shares) && a.shares[i].cell < b.shares[j].cell:
			g.shares = append(g.shares, a.shares[i])
			i++
		case i == len(a.shares) || b.shares[j].cell < a.shares[i].cell:
			g.shares = append(g.shares, b.shares[j])
			j++
		default:
			s := a.shares[i]
			for c := range s.n {
				s.n[c] += b.shares[j].n[c]
			}
			s.unchanged = m.unchanged(s.cell, &s.n)
			g.shares = append(g.shares, s)
			i, j = i+1, j+1
		}
	}
	return g
}

// merge joins groups, always the cheapest pair, until there are at most most. Ties go to the first
// pair; a joined group takes the place of its first part.
func (m *model) merge(groups []group, most int) []group {
	gs := slices.Clone(groups)
	cost := make([]float64, len(gs)) // of joining each with its best mate behind it
	mate := make([]int, len(gs))     // index of that mate, or -1
	gone := make([]bool, len(gs))
	price := func(i, j int) float64 {
		return float64(horizon*(float64((gs[i].size+gs[j].size)*m.joined(&gs[i], &gs[j]))-gs[i].rate-gs[j].rate)) + gs[i].fee + gs[j].fee
	}
	look := func(i int) {
		mate[i], cost[i] = -1, math.Inf(1)
		for j := i + 1; j < len(gs); j++ {
			if gone[j] {
				continue
			}
			if p := price(i, j); p < cost[i] {
				mate[i], cost[i] = j, p
			}
		}
	}
	for i := range gs {
		look(i)
	}
	for left := len(gs); left > max(most, 1); left-- {
		i := 0
		for k := range gs {
			if !gone[k] && (gone[i] || cost[k] < cost[i]) {
				i = k
			}
		}
		j := mate[i]
		gs[i], gone[j] = m.join(&gs[i], &gs[j]), true
		for k := range gs {
			switch {
			case gone[k]:
			case k == i || mate[k] == i || mate[k] == j:
				look(k)
			case k < i:
				if p := price(k, i); p < cost[k] {
					mate[k], cost[k] = i, p
				}
			}
		}
	}
	var merged []group
	for i, g := range gs {
		if !gone[i] {
			merged = append(merged, g)
		}
	}
	return merged
}

func rates(groups []group) (sum float64) {
	for _, g := range groups {
		sum += g.rate
	}
	return sum
}
