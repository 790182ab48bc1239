package flatten

import (
	"fmt"
	"slices"
	"strings"
)

// Expansion is an order tree walked down to every composite and component in
// it. (Not what the spec calls resolving an order: that is detection.)
type Expansion struct {
	// Root is the package's own ref; zero for a builder.
	Root Ref
	// Refs are all that the tree holds, the root first, each once, in the
	// order in which a walk from the top meets them.
	Refs []Ref
	// TopLevel are the refs that the root's order names, or that the builder
	// takes for its main buildpacks, each once.
	TopLevel []Ref
	// Owners is the owner set of each ref but the root: the top-level refs
	// through which it is reached, in the order of TopLevel. A top-level
	// component is owned by itself alone. Refs with the same owner set share one
	// slice, which is not to be changed.
	Owners map[Ref][]Ref
}

// Problem is what is wrong with an order entry, or with a root.
type Problem struct {
	// In is the composite whose order has the fault, Entry the position in
	// In's order, counted over all of its groups; -1 where it is In itself.
	In      Ref
	Entry   int
	Message string
	Warning bool
}

// Modules are the modules at hand, by ref.
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

// Find returns the modules that the entry may mean: the one with its version,
// or where it has none, every version of the id, sorted. The slice is not to be
// changed.
func (f Finder) Find(e Entry) []Ref {
	if e.Version == "" {
		return f.versions[e.ID]
	}
	if _, ok := f.modules[e.Ref()]; ok {
		return []Ref{e.Ref()}
	}
	return nil
}

// Expand walks the order of the root, which must be among the modules, down to
// every module below it. It reports all problems at once: entries that name what
// is not there or what is there in several versions, and one of the cycles; the
// expansion is whole only if none of them is more than a warning.
func (ms Modules) Expand(root Ref) (Expansion, []Problem) {
	w := newWalk(ms)
	e := Expansion{Root: root, Refs: []Ref{root}}
	if w.search([]Ref{root}); !w.hasCycle() {
		e.own(w, w.entries(root))
	}
	return e, w.problems
}

// ExpandAll walks down from several top-level refs, as a builder has them.
func (ms Modules) ExpandAll(topLevel []Ref) (Expansion, []Problem) {
	w := newWalk(ms)
	e := Expansion{}
	if w.search(topLevel); !w.hasCycle() {
		e.own(w, topLevel)
	}
	return e, w.problems
}

// distinct returns the refs in their order, each once.
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

// walk is a descent through orders.
type walk struct {
	Finder
	visited  map[Ref]bool
	reached  []Ref         // as down comes to them
	left     []Ref         // as down is done with them: each after all below it
	named    map[Ref][]Ref // results of entries
	problems []Problem
	reported map[Problem]bool

	// Of the search for cycles: how deep a ref is in the path, from 1; done
	// where all below it was searched.
	depth map[Ref]int
	path  []Ref
	cycle Problem // the first
	more  int     // entries that close another cycle
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

// search looks for cycles below the refs, at every entry once, and reports the
// first with the number of entries that close others. In a cycle owner sets
// mean nothing.
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
			w.cycle = Problem{In: r, Entry: w.entryOf(r, child), Message: "order goes in a circle: " + circle(w.path[at-1:])}
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.depth[r] = done
}

// entryOf returns the position of the entry in the order of r that means child.
func (w *walk) entryOf(r, child Ref) int {
	return slices.IndexFunc(w.modules[r].Order.Entries(), func(e Entry) bool {
		found := w.Find(e)
		return len(found) == 1 && found[0] == child
	})
}

// circle writes the refs of a cycle, those in the middle of a long one left out.
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

// entries gives the modules that the order of r names, in order, leaving out
// those that it reports as missing or ambiguous.
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

// judge says what is wrong with an entry for which these modules were found.
func (w *walk) judge(e Entry, found []Ref) (message string, warning bool) {
	switch {
	case len(found) > 1:
		return fmt.Sprintf("buildpack %s is there in %d versions (%s), and the entry names none", e.ID, len(found), versions(found)), false
	case len(found) == 1 && e.Version == "":
		return fmt.Sprintf("entry %s names no version; %s is taken, but lifecycles do not resolve such an entry", e.ID, found[0]), true
	case len(found) == 1 || e.ID == "":
		return "", false
	}
	message = fmt.Sprintf("buildpack %s is not there", e.Ref())
	if others := w.versions[e.ID]; len(others) > 0 {
		return message + ", only " + versions(others) + " of it", false
	}
	return message + ": no source provides it", false
}

// versions lists the versions of refs, the first of them where they are many.
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
