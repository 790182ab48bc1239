package diff

import (
	"cmp"
	"slices"
	"strings"

	"laminate/flatten"
)

// detection is one of the orders of an image, with what finds the modules of its entries.
type detection struct {
	order flatten.Order
	kind  flatten.Kind
	find  flatten.Finder
}

// orderNames are the orders that are compared.
var orderNames = []string{"order", "order of extensions", "system buildpacks before", "system buildpacks after"}

// orders returns the orders, as orderNames lists them. That of a buildpackage is its root's.
func (s *side) orders() []detection {
	of := map[flatten.Kind]flatten.Modules{flatten.Buildpack: {}, flatten.Extension: {}}
	for k, m := range s.modules {
		of[k.kind][k.Ref] = m.Module.Module
	}
	order := s.builder.Order
	if m := s.modules[moduleKey{flatten.Buildpack, s.root()}]; m != nil {
		order = m.Order
	}
	buildpacks, extensions := of[flatten.Buildpack].Finder(), of[flatten.Extension].Finder()
	return []detection{
		{order, flatten.Buildpack, buildpacks},
		{s.builder.OrderExtensions, flatten.Extension, extensions},
		{asOrder(s.builder.System.Pre), flatten.Buildpack, buildpacks},
		{asOrder(s.builder.System.Post), flatten.Buildpack, buildpacks},
	}
}

func asOrder(l flatten.SystemList) flatten.Order {
	if len(l.Buildpacks) == 0 {
		return nil
	}
	return flatten.Order{{Entries: l.Buildpacks}}
}

// entryText returns an entry with its version and what sets it apart.
func entryText(e flatten.Entry) string { return withMarks(e, e.Ref().String()) }

// entryKey is entryText without the version.
func entryKey(e flatten.Entry) string { return withMarks(e, e.ID) }

func withMarks(e flatten.Entry, name string) string {
	var marks []string
	if e.Optional {
		marks = append(marks, "optional")
	}
	if len(e.ExecEnv) > 0 {
		marks = append(marks, "exec-env "+strings.Join(e.ExecEnv, " "))
	}
	if len(marks) == 0 {
		return name
	}
	return name + " (" + strings.Join(marks, ", ") + ")"
}

func texts(g flatten.Group, text func(flatten.Entry) string) []string {
	all := []string{}
	for _, e := range g.Entries {
		all = append(all, text(e))
	}
	return all
}

// compareOrders compares the orders. A new version of an entry is no difference if the module has
// that version as its successor.
func compareOrders(o, n *side, replaced map[moduleKey]moduleKey) []Order {
	changed := []Order{}
	old := o.orders()
	for i, new := range n.orders() {
		if groups := compareGroups(old[i], new, replaced); len(groups) > 0 {
			changed = append(changed, Order{Name: orderNames[i], Groups: groups})
		}
	}
	return changed
}

func compareGroups(old, new detection, replaced map[moduleKey]moduleKey) []Group {
	keys := func(order flatten.Order) (all []string) {
		for _, g := range order {
			all = append(all, strings.Join(texts(g, entryKey), "\x00"))
		}
		return all
	}
	oldKeys, newKeys := keys(old.order), keys(new.order)
	var changes []Group
	add := func(change string, from, to int) {
		c := newGroup(old, new, from, to, replaced)
		if c.Change = change; change != "" || len(c.Versions) > 0 {
			c.Change = cmp.Or(change, Changed)
			changes = append(changes, c)
		}
	}
	var gone, come []int
	for _, m := range match(oldKeys, newKeys) {
		switch {
		case m.to < 0:
			gone = append(gone, m.from)
		case m.from < 0:
			come = append(come, m.to)
		default:
			add("", m.from, m.to)
		}
	}
	pairUp := func(change string, fit func(from, to int) bool) {
		gone = slices.DeleteFunc(gone, func(from int) bool {
			i := slices.IndexFunc(come, func(to int) bool { return fit(from, to) })
			if i < 0 {
				return false
			}
			add(change, from, come[i])
			come = slices.Delete(come, i, i+1)
			return true
		})
	}
	if len(gone)*len(come) <= matchLimit {
		pairUp(Moved, func(from, to int) bool { return oldKeys[from] == newKeys[to] })
	}
	if len(gone)*entriesIn(new.order, come)+len(come)*entriesIn(old.order, gone) <= matchLimit {
		pairUp(Changed, func(from, to int) bool { return akin(old.order[from], new.order[to]) })
	}
	for _, from := range gone {
		add(Removed, from, -1)
	}
	for _, to := range come {
		add(Added, -1, to)
	}
	slices.SortFunc(changes, func(a, b Group) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.To, a.From), cmp.Or(b.To, b.From)), cmp.Compare(a.To, b.To))
	})
	return changes
}

// entriesIn returns the number of entries of the groups at these indexes.
func entriesIn(o flatten.Order, at []int) (n int) {
	for _, i := range at {
		n += len(o[i].Entries)
	}
	return n
}

// akin reports whether one group is likely to be a changed form of another: they share at least
// half of the ids of the longer one.
func akin(a, b flatten.Group) bool {
	ids := map[string]int{}
	for _, e := range a.Entries {
		ids[e.ID]++
	}
	shared := 0
	for _, e := range b.Entries {
		if ids[e.ID] > 0 {
			ids[e.ID]--
			shared++
		}
	}
	return shared > 0 && shared*2 >= max(len(a.Entries), len(b.Entries))
}

// newGroup describes the groups at two indexes; a negative one is absent.
func newGroup(old, new detection, from, to int, replaced map[moduleKey]moduleKey) Group {
	g := Group{From: from + 1, To: to + 1, Entries: []string{}, Added: []string{}, Removed: []string{}, Versions: []Value{}}
	switch {
	case to < 0:
		g.Entries = texts(old.order[from], entryText)
		return g
	case from < 0:
		g.Entries = texts(new.order[to], entryText)
		return g
	}
	g.Entries = texts(new.order[to], entryText)
	l := compareList("", texts(old.order[from], entryKey), texts(new.order[to], entryKey))
	g.Added, g.Removed, g.Reordered = l.Added, l.Removed, l.Reordered
	was := map[string]flatten.Entry{}
	for _, e := range old.order[from].Entries {
		was[e.ID] = e
	}
	for _, e := range new.order[to].Entries {
		before, is := was[e.ID]
		if !is {
			continue
		}
		r, s := old.ref(before), new.ref(e)
		if successor, has := replaced[moduleKey{old.kind, r}]; r != s && (!has || successor.Ref != s) {
			g.Versions = append(g.Versions, Value{Name: e.ID, Change: Changed, From: r.Version, To: s.Version})
		}
	}
	return g
}

// ref returns the module that an entry names, or what it says if there is none, or several.
func (d detection) ref(e flatten.Entry) flatten.Ref {
	if found := d.find.Find(e); len(found) == 1 {
		return found[0]
	}
	return e.Ref()
}
