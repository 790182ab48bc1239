package flatten

import "slices"

// TopLevel returns the refs from which all modules can be reached: those that the entries of the
// orders name, in their order, and then those that no composite names. Missing are the entries that
// match no module, or several.
func (ms Modules) TopLevel(entries []Entry) (top []Ref, missing []Entry) {
	finder, seen := ms.Finder(), map[Ref]bool{}
	for _, e := range entries {
		found := finder.Find(e)
		if len(found) != 1 {
			missing = append(missing, e)
			continue
		}
		if !seen[found[0]] {
			seen[found[0]] = true
			top = append(top, found[0])
		}
	}
	return append(top, ms.unreached(finder, top)...), missing
}

// unreached returns the modules, sorted, that neither the top-level refs reach nor a composite
// names.
func (ms Modules) unreached(finder Finder, top []Ref) []Ref {
	reached, _ := ms.ExpandAll(top) // the caller expands again, and reports the problems
	named := map[Ref]bool{}         // by an order of any composite
	seen := map[Ref]bool{}          // an entry without a version names many modules
	for _, m := range ms {
		for _, e := range m.Order.Entries() {
			if seen[e.Ref()] {
				continue
			}
			seen[e.Ref()] = true
			for _, r := range finder.Find(e) {
				named[r] = true
			}
		}
	}
	var rest []Ref
	for r := range ms {
		if _, is := reached.Owners[r]; !is && !named[r] {
			rest = append(rest, r)
		}
	}
	slices.SortFunc(rest, Ref.Compare)
	return rest
}
