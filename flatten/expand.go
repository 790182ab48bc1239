package flatten

import (
	"fmt"
	"slices"
	"strings"
)

// Expansion is the result of walking an order tree down to every composite and component in it.
// (The spec uses "resolve" for detection, which is something else.)
type Expansion struct {
	// Root is the package's own ref; zero for a builder.
	Root Ref
	// Refs are all refs of the tree, each once, the root first, in the order of a depth-first walk.
	Refs []Ref
	// TopLevel are the refs that the root's order names, or the main buildpacks of a builder, each
	// once.
	TopLevel []Ref
	// Owners is the owner set of each ref but the root: the top-level refs through which it is
	// reached, in the order of TopLevel. A top-level component is owned by itself alone. Refs with
	// the same owner set share one slice; callers must not modify it.
	Owners map[Ref][]Ref
}

// Problem is an error or a warning about an order entry, or about a root.
type Problem struct {
	// In is the composite whose order has the problem. Entry is the index of the entry, counted
	// over all groups of the order; -1 if the problem is In itself.
	In      Ref
	Entry   int
	Message string
	Warning bool
}

// Modules are the available modules, by ref.
type Modules map[Ref]Module

// Finder finds modules by the entries of orders.
type Finder struct {
	modules  Modules
	versions map[string][]Ref // of each id, sorted
}

// Finder returns a finder for the modules, which must not change afterwards.
func (ms Modules) Finder() Finder {
	f := Finder{ms, map[string][]Ref{}}
	for r := range ms {
		f.versions[r.ID] = append(f.versions[r.ID], r)
	}
	for _, refs := range f.versions {
		slices.SortFunc(refs, Ref.Compare)
	}
	return f
}

// Find returns the modules that match the entry: the one with its version or, if the entry has no
// version, every version of the id, sorted. Callers must not modify the slice.
func (f Finder) Find(e Entry) []Ref {
	if e.Version == "" {
		return f.versions[e.ID]
	}
	if _, ok := f.modules[e.Ref()]; ok {
		return []Ref{e.Ref()}
	}
	return nil
}

// Versioned returns the order with the versions of its entries, where only one module matches.
func (f Finder) Versioned(o Order) Order {
	var all Order
	for _, g := range o {
		entries := slices.Clone(g.Entries)
		for i, e := range entries {
			if found := f.Find(e); len(found) == 1 {
				entries[i].Version = found[0].Version
			}
		}
		all = append(all, Group{Entries: entries})
	}
	return all
}

// Expand walks the order of the root, which must be among the modules, down to every module below
// it. It reports all problems at once: missing and ambiguous entries, and one of the cycles. The
// expansion is complete only if all problems are warnings.
func (ms Modules) Expand(root Ref) (Expansion, []Problem) {
	w := newWalk(ms)
	e := Expansion{Root: root, Refs: []Ref{root}}
	if w.search([]Ref{root}); !w.hasCycle() {
		e.own(w, w.entries(root))
	}
	return e, w.problems
}

// ExpandAll is Expand for several top-level refs, as in a builder.
func (ms Modules) ExpandAll(topLevel []Ref) (Expansion, []Problem) {
	w := newWalk(ms)
	e := Expansion{}
	if w.search(topLevel); !w.hasCycle() {
		e.own(w, topLevel)
	}
	return e, w.problems
}

// distinct returns the refs without duplicates, in their order.
func distinct(refs []Ref) []Ref {
	var once []Ref
	seen := map[Ref]bool{}
	for _, r := range refs {
		if !seen[r] {
			seen[r] = true
			once = append(once, r)
		}
	}
	return once
}

// walk is the state of a walk through orders.
type walk struct {
	Finder
	visited  map[Ref]bool
	reached  []Ref         // parents before children
	left     []Ref         // children before parents
	named    map[Ref][]Ref // results of entries
	problems []Problem
	reported map[Problem]bool

	// depth belongs to the search for cycles: the position of a ref in path, from 1, or done once
	// everything below the ref was searched.
	depth map[Ref]int
	path  []Ref
	cycle Problem // the first
	more  int     // how many entries close another cycle
}

const done = -1

func newWalk(ms Modules) *walk {
	return &walk{Finder: ms.Finder(), visited: map[Ref]bool{}, named: map[Ref][]Ref{}, reported: map[Problem]bool{}, depth: map[Ref]int{}}
}

func (w *walk) down(r Ref) {
	if w.visited[r] {
		return
	}
	w.visited[r] = true
	w.reached = append(w.reached, r)
	for _, child := range w.entries(r) {
		w.down(child)
	}
	w.left = append(w.left, r)
}

// search looks for cycles below the refs. It visits every entry once, and reports the first cycle
// with the number of entries that close others. Owner sets are undefined in a cycle.
func (w *walk) search(refs []Ref) {
	for _, r := range refs {
		w.searchBelow(r)
	}
	if !w.hasCycle() {
		return
	}
	if w.more > 0 {
		w.cycle.Message += fmt.Sprintf("; other entries that close a cycle: %d", w.more)
	}
	w.report(w.cycle)
}

func (w *walk) hasCycle() bool { return w.cycle.Message != "" }

func (w *walk) searchBelow(r Ref) {
	if w.depth[r] != 0 {
		return
	}
	w.path = append(w.path, r)
	w.depth[r] = len(w.path)
	closing := map[Ref]bool{}
	for _, child := range w.entries(r) {
		switch at := w.depth[child]; {
		case at == 0:
			w.searchBelow(child)
		case at == done || closing[child]:
		case w.hasCycle():
			closing[child] = true
			w.more++
		default:
			closing[child] = true
			w.cycle = Problem{In: r, Entry: w.entryOf(r, child), Message: "cycle in order: " + circle(w.path[at-1:])}
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.depth[r] = done
}

// entryOf returns the index of the entry in the order of r that matches child.
func (w *walk) entryOf(r, child Ref) int {
	return slices.IndexFunc(w.modules[r].Order.Entries(), func(e Entry) bool {
		found := w.Find(e)
		return len(found) == 1 && found[0] == child
	})
}

// circle formats the refs of a cycle; it abbreviates long ones.
func circle(refs []Ref) string {
	const most = 20
	first := refs[0].String()
	if n := len(refs) - most; n > 0 {
		return JoinRefs(refs[:most/2], " -> ") + fmt.Sprintf(" -> (%d more) -> ", n) + JoinRefs(refs[len(refs)-most/2:], " -> ") + " -> " + first
	}
	return JoinRefs(refs, " -> ") + " -> " + first
}

func (w *walk) report(p Problem) {
	if w.reported[p] {
		return
	}
	w.reported[p] = true
	w.problems = append(w.problems, p)
}

// entries returns the modules that the order of r names, in order. It reports missing and ambiguous
// entries, and leaves them out.
func (w *walk) entries(r Ref) []Ref {
	if known, ok := w.named[r]; ok {
		return known
	}
	var refs []Ref
	for i, e := range w.modules[r].Order.Entries() {
		found := w.Find(e)
		if len(found) == 1 {
			refs = append(refs, found[0])
		}
		if message, warning := w.judge(e, found); message != "" {
			w.report(Problem{In: r, Entry: i, Message: message, Warning: warning})
		}
	}
	w.named[r] = refs
	return refs
}

// judge returns the problem with an entry that matches the found modules, or "".
func (w *walk) judge(e Entry, found []Ref) (message string, warning bool) {
	switch {
	case len(found) > 1:
		return fmt.Sprintf("buildpack %s is ambiguous: found %s; name one", e.ID, versions(found)), false
	case len(found) == 1 && e.Version == "":
		return fmt.Sprintf("entry %s has no version; using %s, but the lifecycle does not resolve such an entry", e.ID, found[0]), true
	case len(found) == 1 || e.ID == "":
		return "", false
	}
	message = fmt.Sprintf("missing buildpack %s", e.Ref())
	if others := w.versions[e.ID]; len(others) > 0 {
		return message + "; found only " + versions(others), false
	}
	return message + "; no source provides it", false
}

// versions lists the versions of refs; it abbreviates long lists.
func versions(refs []Ref) string {
	const most = 10
	var vs []string
	for _, r := range refs[:min(most, len(refs))] {
		vs = append(vs, r.Version)
	}
	if n := len(refs) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(vs, ", "), n)
	}
	return strings.Join(vs, ", ")
}
