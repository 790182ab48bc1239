package cli

import (
	"fmt"

	"laminate/packager/inspect"
)

// Orders come from labels, and may be of any depth and size; the JSON form has all.
const (
	deepestOrder  = 10
	longestOrders = 2000 // lines
)

// orders prints the orders as trees, and the modules that are in none.
func (p *page) orders(img *inspect.Image) {
	t := &orderTree{page: p, modules: map[string]*inspect.Module{}, shown: map[string]bool{}, expanded: map[string]bool{}, left: longestOrders}
	for i := range img.Modules {
		m := &img.Modules[i]
		t.modules[m.Kind+" "+m.Ref] = m
	}
	kind := "buildpack"
	switch {
	case img.Kind == "extension package":
		kind = "extension"
		fallthrough
	case img.Buildpackage != nil:
		t.shown[kind+" "+img.Buildpackage.ID+"@"+img.Buildpackage.Version] = true
		t.section("Order", kind, img.Order)
	default:
		t.section("Detection order", kind, img.Order)
		t.section("Order of extensions", "extension", img.OrderExtensions)
		if img.Builder != nil {
			t.list("System buildpacks, before each group", kind, img.Builder.System.Pre)
			t.list("System buildpacks, after each group", kind, img.Builder.System.Post)
		}
	}
	var rest []inspect.Entry
	for _, m := range img.Modules {
		if !t.shown[m.Kind+" "+m.Ref] {
			rest = append(rest, inspect.Entry{ID: m.ID, Version: m.Version, Ref: m.Ref})
		}
	}
	t.list("In no order", kind, rest)
	if t.left < 0 {
		p.line(fmt.Sprintf("   … and %d more lines; --output json has them", -t.left))
	}
}

// orderTree prints orders. What a composite expands to is printed once: orders share composites, and
// the number of paths through them has no limit.
type orderTree struct {
	*page
	modules  map[string]*inspect.Module // by kind and ref
	shown    map[string]bool            // by kind and ref
	expanded map[string]bool            // composites, of those
	left     int                        // lines
}

func (t *orderTree) section(title, kind string, order []inspect.Group) {
	if len(order) == 0 {
		return
	}
	t.page.section(title)
	t.order(kind, "   ", order, 0)
}

func (t *orderTree) list(title, kind string, entries []inspect.Entry) {
	if len(entries) == 0 {
		return
	}
	t.page.section(title)
	t.group(kind, "   ", entries, 0)
}

// order prints the groups of an order.
func (t *orderTree) order(kind, indent string, order []inspect.Group, depth int) {
	for i, g := range order {
		branch, below := branches(i == len(order)-1)
		t.text(fmt.Sprintf("%s%sgroup %d", indent, branch, i+1))
		t.group(kind, indent+below, g.Entries, depth)
	}
}

// group prints entries, with what the composites among them expand to.
func (t *orderTree) group(kind, indent string, entries []inspect.Entry, depth int) {
	for i, e := range entries {
		branch, below := branches(i == len(entries)-1)
		key := kind + " " + e.Ref
		m, note := t.modules[key], ""
		switch {
		case m == nil:
			note = " (missing)"
		case e.Version == "" && e.Ref != "":
			note = " (" + m.Version + ")"
		}
		note += only(e.Optional, " (optional)")
		expands := m != nil && len(m.Order) > 0
		switch {
		case expands && t.expanded[key]:
			note += " (see above)"
		case expands && depth == deepestOrder:
			note += " (expands further)"
		}
		name := e.ID
		if e.Version != "" {
			name += "@" + e.Version
		}
		t.entry(indent+branch, name, note)
		t.shown[key] = true
		if !expands || t.expanded[key] || depth == deepestOrder {
			continue
		}
		t.expanded[key] = true
		t.order(kind, indent+below, m.Order, depth+1)
	}
}

// entry prints an entry. Of a long name, the end is cut.
func (t *orderTree) entry(before, name, note string) {
	room := reportWidth - len([]rune(before)) - len([]rune(note))
	t.text(before + cut(printable(name), max(room, 10)) + printable(note))
}

// text prints a line, if there is one left.
func (t *orderTree) text(line string) {
	if t.left--; t.left >= 0 {
		t.line(cut(line, reportWidth))
	}
}

// branches returns how a line of a tree begins, and the lines below it.
func branches(isLast bool) (at, below string) {
	if isLast {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}
