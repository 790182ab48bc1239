package diff

import (
	"cmp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/image"
)

// moduleKey identifies a module in an image.
type moduleKey struct {
	kind flatten.Kind
	flatten.Ref
}

// module is a module of an image.
type module struct {
	*image.Module
	content v1.Hash // its content identity, or zero
	top     bool
	in      []flatten.Ref
}

// readModules adds the modules of a kind, with their content identities and owners.
func (s *side) readModules(kind flatten.Kind, found []*image.Module) {
	ms := flatten.Modules{}
	for _, m := range found {
		ms[m.Ref()] = m.Module
		s.modules[moduleKey{kind, m.Ref()}] = &module{Module: m, content: contentOf(m)}
	}
	var expansion flatten.Expansion
	root := s.root()
	if _, has := ms[root]; has {
		expansion, _ = ms.Expand(root) // problems with orders are for "verify"
	} else {
		entries := s.builder.Entries()
		if kind == flatten.Extension {
			entries = s.builder.OrderExtensions.Entries()
		}
		expansion.TopLevel, _ = ms.TopLevel(entries)
		all, _ := ms.ExpandAll(expansion.TopLevel)
		expansion.Owners = all.Owners
	}
	for r := range ms {
		m := s.modules[moduleKey{kind, r}]
		m.top = r == root || slices.Contains(expansion.TopLevel, r)
		if !m.top {
			m.in = expansion.Owners[r]
		}
	}
}

// contentOf returns the content identity of a module, or zero: as laminate's label says, or as
// follows from a layer that holds nothing else.
func contentOf(m *image.Module) v1.Hash {
	for _, f := range m.Layer.Facts {
		if f.Ref == m.Ref() {
			return f.ContentID
		}
	}
	if len(m.Layer.Refs) == 1 {
		return m.Layer.Diff
	}
	return v1.Hash{}
}

// rebuilt reports whether two modules of one ref have different content, as far as that is known.
func rebuilt(o, n *module) (is, known bool) {
	switch {
	case o.Layer.Diff == n.Layer.Diff:
		return false, true
	case o.content != (v1.Hash{}) && n.content != (v1.Hash{}):
		return o.content != n.content, true
	}
	is = o.API != n.API || !equalOrders(o.Order, n.Order)
	return is, is
}

func equalOrders(a, b flatten.Order) bool {
	return slices.EqualFunc(a, b, func(a, b flatten.Group) bool {
		return slices.EqualFunc(a.Entries, b.Entries, func(a, b flatten.Entry) bool {
			return a.Ref() == b.Ref() && a.Optional == b.Optional && slices.Equal(a.ExecEnv, b.ExecEnv)
		})
	})
}

// compareModules compares the modules. It returns the successor of each module of OLD that has one:
// itself if it stays.
func (d *Diff) compareModules(o, n *side) (replaced map[moduleKey]moduleKey) {
	replaced = map[moduleKey]moduleKey{}
	type id struct {
		kind flatten.Kind
		id   string
	}
	versions := map[id]*[2][]string{}
	for i, s := range []*side{o, n} {
		for k := range s.modules {
			at := id{k.kind, k.ID}
			if versions[at] == nil {
				versions[at] = &[2][]string{}
			}
			versions[at][i] = append(versions[at][i], k.Version)
			if _, stays := n.modules[k]; stays && s == o {
				replaced[k] = k
			}
		}
	}
	changes := []Module{}
	for at, both := range versions {
		key := func(version string) moduleKey { return moduleKey{at.kind, flatten.Ref{ID: at.id, Version: version}} }
		owners := 0
		for i, s := range []*side{o, n} {
			for _, v := range both[i] {
				owners = max(owners, len(s.modules[key(v)].in))
			}
		}
		shared := func(from, to string) int {
			if len(both[0])*len(both[1])*owners > ownersLimit {
				return 0
			}
			return sharedOwners(o.modules[key(from)], n.modules[key(to)])
		}
		for _, p := range pairVersions(both[0], both[1], shared) {
			from, to := key(p.from), key(p.to)
			change := Added
			switch {
			case p.to == "":
				change = Removed
			case p.from != "":
				change = changeOf(p.from, p.to)
				replaced[from] = to
			}
			changes = append(changes, newChange(o, n, change, from, to))
		}
	}
	moved := movedModules(o, n, replaced)
	for i, c := range changes {
		changes[i].Moved = moved[moduleKey{flatten.Kind(c.Kind), flatten.Ref{ID: c.ID, Version: c.From}}]
	}
	for from, to := range replaced {
		if from != to {
			continue
		}
		is, known := rebuilt(o.modules[from], n.modules[to])
		change := ""
		switch {
		case is:
			change = Rebuilt
		case moved[from]:
			change = Moved
		default:
			d.Unchanged++
		}
		if !known {
			d.Unknown++
		}
		if change != "" {
			c := newChange(o, n, change, from, to)
			c.Moved, c.Unknown = moved[from], !known
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, Module.compare)
	d.Modules = changes
	return replaced
}

// compare orders buildpacks before extensions, top-level modules before others, and then by id and
// version.
func (m Module) compare(o Module) int {
	first := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(m.Kind, o.Kind), first(m.TopLevel)-first(o.TopLevel), strings.Compare(m.ID, o.ID),
		compareVersions(cmp.Or(m.From, m.To), cmp.Or(o.From, o.To)), strings.Compare(m.To, o.To))
}

// ownersLimit bounds the work on labels that mean harm: with more pairs of versions of one id, times
// composites that use one of them, composites do not count.
const ownersLimit = 100_000

// sharedOwners returns the number of composites, by id, that reach both modules.
func sharedOwners(o, n *module) (shared int) {
	ids := map[string]bool{}
	for _, r := range o.in {
		ids[r.ID] = true
	}
	for _, r := range n.in {
		if ids[r.ID] {
			shared++
			delete(ids, r.ID)
		}
	}
	return shared
}

func newChange(o, n *side, change string, from, to moduleKey) Module {
	c := Module{Change: change, Kind: string(from.kind), ID: from.ID, From: from.Version, To: to.Version, In: []string{}}
	describe := func(m *module) {
		c.Name, c.TopLevel, c.In = m.Info.Name, m.top, []string{}
		for _, r := range m.in {
			c.In = append(c.In, r.String())
		}
	}
	if m := o.modules[from]; m != nil && from.Version != "" {
		describe(m)
		c.OldLayer = o.byLayer[m.Layer]
	}
	if m := n.modules[to]; m != nil && to.Version != "" {
		describe(m)
		c.NewLayer = n.byLayer[m.Layer]
	}
	return c
}

// movedModules returns the modules of OLD whose successors are in another layer. A layer is the
// successor of another one if each has at least half of the other's modules that are in both
// images, and no other layer has as many.
func movedModules(o, n *side, replaced map[moduleKey]moduleKey) map[moduleKey]bool {
	type layers struct{ old, new *image.Layer }
	shared := map[layers]int{}
	// Of each side on its own: an image may be compared with itself.
	var size, fits [2]map[*image.Layer]int
	for i := range size {
		size[i], fits[i] = map[*image.Layer]int{}, map[*image.Layer]int{}
	}
	for from, to := range replaced {
		l := layers{o.modules[from].Layer, n.modules[to].Layer}
		size[0][l.old]++
		size[1][l.new]++
		shared[l]++
	}
	fit := func(l layers) bool { return shared[l]*2 >= size[0][l.old] && shared[l]*2 >= size[1][l.new] }
	for l := range shared {
		if fit(l) {
			fits[0][l.old]++
			fits[1][l.new]++
		}
	}
	moved := map[moduleKey]bool{}
	for from, to := range replaced {
		l := layers{o.modules[from].Layer, n.modules[to].Layer}
		if !fit(l) || fits[0][l.old] > 1 || fits[1][l.new] > 1 {
			moved[from] = true
		}
	}
	return moved
}
