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
	// component is owned by itself alone.
	Owners map[Ref][]Ref
}

// Fault is what is wrong with an order entry, or with a root.
type Fault struct {
	// In is the composite whose order has the fault, Entry the position in
	// In's order, counted over all of its groups; -1 where it is In itself.
	In      Ref
	Entry   int
	Message string
	Warning bool
}

// Modules are the modules at hand, by ref.
type Modules map[Ref]Module

// Find gives the modules that the entry may mean: the one with its version, or
// where it has none, every version of the id, sorted.
func (ms Modules) Find(e Entry) []Ref {
	if e.Version != "" {
		if _, ok := ms[e.Ref()]; ok {
			return []Ref{e.Ref()}
		}
		return nil
	}
	var found []Ref
	for r := range ms {
		if r.ID == e.ID {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, Ref.Compare)
	return found
}

// Expand walks the order of the root, which must be among the modules, down to
// every module below it. It reports all faults at once: entries that name what
// is not there or what is there in several versions, and cycles; the expansion
// is whole only if none of them is more than a warning.
func (ms Modules) Expand(root Ref) (Expansion, []Fault) {
	w := walk{modules: ms, visited: map[Ref]bool{}}
	e := Expansion{Root: root, Refs: []Ref{root}}
	for _, r := range w.entries(root) {
		if !slices.Contains(e.TopLevel, r) {
			e.TopLevel = append(e.TopLevel, r)
		}
	}
	w.enter(root)
	e.own(&w)
	return e, w.faults
}

// ExpandAll walks down from several top-level refs, as a builder has them.
func (ms Modules) ExpandAll(topLevel []Ref) (Expansion, []Fault) {
	w := walk{modules: ms, visited: map[Ref]bool{}}
	e := Expansion{}
	for _, r := range topLevel {
		if !slices.Contains(e.TopLevel, r) {
			e.TopLevel = append(e.TopLevel, r)
		}
	}
	e.own(&w)
	return e, w.faults
}

// own collects what lies below each top-level ref, and who owns it.
func (e *Expansion) own(w *walk) {
	e.Owners = map[Ref][]Ref{}
	for _, top := range e.TopLevel {
		w.reached = nil
		clear(w.visited)
		w.down(top)
		for _, r := range w.reached {
			if _, known := e.Owners[r]; !known {
				e.Refs = append(e.Refs, r)
			}
			e.Owners[r] = append(e.Owners[r], top)
		}
	}
	for _, top := range e.TopLevel {
		if m := w.modules[top]; !m.IsComposite() {
			e.Owners[top] = []Ref{top}
		}
	}
}

// walk is a descent through orders.
type walk struct {
	modules Modules
	path    []Ref       // from the root to the current composite
	at      map[Ref]int // where a ref stands in the path
	visited map[Ref]bool
	reached []Ref
	looked  map[Ref][]Ref // what entries has said already
	faults  []Fault
	told    map[Fault]bool // the same, to look one up
}

func (w *walk) down(r Ref) {
	if i, on := w.at[r]; on {
		w.cycle(i)
		return
	}
	if w.visited[r] {
		return
	}
	w.visited[r] = true
	w.reached = append(w.reached, r)
	w.enter(r)
	for _, child := range w.entries(r) {
		w.down(child)
	}
	w.path = w.path[:len(w.path)-1]
	delete(w.at, r)
}

func (w *walk) enter(r Ref) {
	if w.at == nil {
		w.at = map[Ref]int{}
	}
	w.at[r] = len(w.path)
	w.path = append(w.path, r)
}

// cycle reports that the composite at the end of the path names the one at i.
func (w *walk) cycle(i int) {
	var names []string
	for _, r := range append(slices.Clone(w.path[i:]), w.path[i]) {
		names = append(names, r.String())
	}
	in := w.path[len(w.path)-1]
	at := slices.IndexFunc(w.modules[in].Order.Entries(), func(e Entry) bool {
		return slices.Contains(w.modules.Find(e), w.path[i])
	})
	w.fault(Fault{In: in, Entry: at, Message: "order goes in a circle: " + strings.Join(names, " -> ")})
}

func (w *walk) fault(f Fault) {
	if w.told[f] {
		return
	}
	if w.told == nil {
		w.told = map[Fault]bool{}
	}
	w.told[f] = true
	w.faults = append(w.faults, f)
}

// entries gives the modules that the order of r names, in order, leaving out
// those that it reports as missing or ambiguous.
func (w *walk) entries(r Ref) []Ref {
	if known, ok := w.looked[r]; ok {
		return known
	}
	var refs []Ref
	for i, e := range w.modules[r].Order.Entries() {
		found := w.modules.Find(e)
		if len(found) == 1 {
			refs = append(refs, found[0])
		}
		if message, warning := judge(e, found, w.modules); message != "" {
			w.fault(Fault{In: r, Entry: i, Message: message, Warning: warning})
		}
	}
	if w.looked == nil {
		w.looked = map[Ref][]Ref{}
	}
	w.looked[r] = refs
	return refs
}

// judge says what is wrong with an entry for which these modules were found.
func judge(e Entry, found []Ref, at Modules) (message string, warning bool) {
	switch {
	case len(found) > 1:
		return fmt.Sprintf("buildpack %s is there in %d versions (%s), and the entry names none", e.ID, len(found), versions(found)), false
	case len(found) == 1 && e.Version == "":
		return fmt.Sprintf("entry %s names no version; %s is taken, but lifecycles do not resolve such an entry", e.ID, found[0]), true
	case len(found) == 1 || e.ID == "":
		return "", false
	}
	message = fmt.Sprintf("buildpack %s is not there", e.Ref())
	if others := at.Find(Entry{ID: e.ID}); len(others) > 0 {
		return message + ", only " + versions(others) + " of it", false
	}
	return message + ": no source provides it", false
}

func versions(refs []Ref) string {
	var vs []string
	for _, r := range refs {
		vs = append(vs, r.Version)
	}
	return strings.Join(vs, ", ")
}
