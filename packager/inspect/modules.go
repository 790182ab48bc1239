package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/image"
)

// walk is a walk through the orders of the modules of one kind.
type walk struct {
	*description
	flatten.Finder
	modules flatten.Modules
	layers  map[flatten.Ref]*image.Layer
	state   map[flatten.Ref]state
	reached []flatten.Ref // in the order of the walk
	path    []flatten.Ref
}

// state is how far the walk is with a module.
type state int

const (
	unvisited state = iota
	below           // the walk is below it
	done
)

// walk adds the modules of a kind to the description: those that the entries reach, in the order of
// a walk through the orders, and then the others, sorted.
func (d *description) walk(kind flatten.Kind, entries []flatten.Entry) *walk {
	w := &walk{description: d, modules: flatten.Modules{}, layers: map[flatten.Ref]*image.Layer{}, state: map[flatten.Ref]state{}}
	for _, m := range d.modules[kind] {
		w.modules[m.Ref()], w.layers[m.Ref()] = m.Module, m.Layer
	}
	w.Finder = w.modules.Finder()
	w.follow(entries)
	for _, r := range slices.SortedFunc(maps.Keys(w.modules), flatten.Ref.Compare) {
		w.visit(r)
	}
	for _, r := range w.reached {
		d.Modules = append(d.Modules, w.module(w.modules[r]))
	}
	return w
}

// follow visits the modules that entries name.
func (w *walk) follow(entries []flatten.Entry) {
	for _, e := range entries {
		if found := w.Find(e); len(found) == 1 {
			w.visit(found[0])
		}
	}
}

func (w *walk) visit(r flatten.Ref) {
	switch w.state[r] {
	case below:
		at := slices.Index(w.path, r)
		w.problemf("cycle in order: %s", circle(w.path[at:]))
		return
	case done:
		return
	}
	w.state[r] = below
	w.path = append(w.path, r)
	w.reached = append(w.reached, r)
	w.follow(w.modules[r].Order.Entries())
	w.path = w.path[:len(w.path)-1]
	w.state[r] = done
}

// circle formats the refs of a cycle; it abbreviates long ones.
func circle(refs []flatten.Ref) string {
	const most = 10
	if n := len(refs) - most; n > 0 {
		return fmt.Sprintf("%s -> (%d more) -> %s", flatten.JoinRefs(refs[:most], " -> "), n, refs[0])
	}
	return flatten.JoinRefs(refs, " -> ") + " -> " + refs[0].String()
}

// module describes a module by its entry in the layers label.
func (w *walk) module(m flatten.Module) Module {
	l := w.layers[m.Ref()]
	one := Module{
		Ref: m.Ref().String(), Kind: string(m.Kind), ID: m.Info.ID, Version: m.Info.Version, Name: m.Info.Name,
		API: m.API, Homepage: m.Info.Homepage, Stacks: stackIDs(m.Stacks), Targets: targetNames(m.Targets),
		Order: w.groups("the order of "+m.Ref().String(), m.Order),
		Layer: 1 + slices.Index(w.of.Contents(), l),
	}
	for _, f := range l.Facts {
		if f.Ref == m.Ref() {
			one.Bytes = &f.Length
		}
	}
	return one
}

// groups describes an order; where names it in problems.
func (w *walk) groups(where string, order flatten.Order) []Group {
	groups := []Group{}
	for _, g := range order {
		groups = append(groups, Group{w.entries(where, g.Entries)})
	}
	return groups
}

// entries describes entries, with the modules that they name. It reports those that name none, or
// several, unless where is empty.
func (w *walk) entries(where string, entries []flatten.Entry) []Entry {
	all := []Entry{}
	for _, e := range entries {
		one := Entry{ID: e.ID, Version: e.Version, Optional: e.Optional}
		switch found := w.Find(e); {
		case len(found) == 1:
			one.Ref = found[0].String()
		case where == "":
		case len(found) > 1:
			w.problemf("%s names %s without a version, but the image has %s", where, e.ID, flatten.Few(found))
		default:
			w.problemf("%s names %s, which is not in the image", where, e.Ref())
		}
		all = append(all, one)
	}
	return all
}

func (d *description) problemf(format string, args ...any) {
	d.problem(fmt.Errorf(format, args...))
}

func stackIDs(stacks []flatten.Stack) []string {
	ids := []string{}
	for _, s := range stacks {
		ids = append(ids, s.ID)
	}
	return ids
}

// targetNames formats targets; a distribution may be without a version.
func targetNames(targets []flatten.Target) []string {
	names := []string{}
	for _, t := range targets {
		names = append(names, strings.TrimSuffix(strings.ReplaceAll(t.String(), "@;", ";"), "@"))
	}
	return names
}
