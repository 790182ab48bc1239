package cli

import (
	"fmt"
	"slices"
	"strings"

	"laminate/packager/diff"
)

// What the text and the Markdown of a diff have in common: sentences, of printable characters.

// moduleCounts are the words of the changes in the headline, in their order.
var moduleCounts = []string{diff.Upgraded, diff.Downgraded, diff.Changed, diff.Added, diff.Removed, diff.Rebuilt, diff.Moved}

// diffHeadline returns the headline of a report: what changed, and what users pull.
func diffHeadline(r *diff.Report) string {
	if r.Identical {
		return "the images are identical"
	}
	var parts []string
	if n := len(r.AddedTargets); n > 0 {
		parts = append(parts, "added "+strings.Join(r.AddedTargets, ", "))
	}
	if n := len(r.RemovedTargets); n > 0 {
		parts = append(parts, "removed "+strings.Join(r.RemovedTargets, ", "))
	}
	if len(r.Images) == 0 {
		return printable(strings.Join(append(parts, "no platform is in both"), "; "))
	}
	for _, g := range platformGroups(r, headlineOfModules) {
		parts = append(parts, g.text+g.suffix)
	}
	return printable(strings.Join(append(parts, headlineOfPull(r)), "; "))
}

// headlineOfModules counts the changes of buildpacks and extensions.
func headlineOfModules(d *diff.Diff) string {
	var kinds []string
	for _, kind := range []string{"buildpack", "extension"} {
		counts := map[string]int{}
		for _, m := range d.Modules {
			if m.Kind == kind {
				counts[m.Change]++
			}
		}
		var parts []string
		for _, change := range moduleCounts {
			if n := counts[change]; n > 0 && len(parts) == 0 {
				parts = append(parts, count(n, kind)+" "+change)
			} else if n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, change))
			}
		}
		if len(parts) > 0 {
			kinds = append(kinds, strings.Join(parts, ", "))
		}
	}
	switch {
	case len(kinds) > 0:
		return strings.Join(kinds, "; ")
	case d.Empty():
		return "no difference in what is compared"
	case d.Unchanged == 0:
		return "the images differ"
	}
	return "no buildpack changed"
}

// headlineOfPull tells what users pull, at most if the platforms differ.
func headlineOfPull(r *diff.Report) string {
	most, same := r.Images[0], true
	for _, d := range r.Images[1:] {
		a, b := most.Layers.Pull, d.Layers.Pull
		if a.Layers != b.Layers || a.Bytes == nil || b.Bytes == nil || *a.Bytes != *b.Bytes || d.New.Layers != most.New.Layers {
			same = false
		}
		if a.Bytes != nil && (b.Bytes == nil || *b.Bytes > *a.Bytes) {
			most = d
		}
	}
	words := "users pull "
	if !same {
		words += "up to "
	}
	return words + pulled(most.Layers.Pull, most.New.Layers)
}

// pulled says what is pulled of so many layers.
func pulled(p diff.Pull, of int) string {
	switch {
	case p.Layers == 0 && p.Bytes == nil:
		return "no new layer"
	case p.Layers == 0:
		return "no layer"
	case p.Bytes == nil:
		return fmt.Sprintf("%d of %s, of unknown size", p.Layers, count(of, "layer"))
	}
	return fmt.Sprintf("%s in %d of %s", bytes(*p.Bytes), p.Layers, count(of, "layer"))
}

// platformGroup is a text that several platforms share. Suffix names them if there are others.
type platformGroup struct {
	text, suffix string
	first        *diff.Diff
}

// platformGroups returns the distinct texts of the platforms, in order, without empty ones.
func platformGroups(r *diff.Report, text func(*diff.Diff) string) (groups []platformGroup) {
	targets := map[string][]string{}
	for i := range r.Images {
		d := &r.Images[i]
		t := text(d)
		if targets[t] == nil && t != "" {
			groups = append(groups, platformGroup{text: t, first: d})
		}
		targets[t] = append(targets[t], d.Target)
	}
	for i, g := range groups {
		if len(targets) > 1 {
			groups[i].suffix = " (" + strings.Join(targets[g.text], ", ") + ")"
		}
	}
	return groups
}

// kindsNote says that the images are of different kinds.
func kindsNote(d *diff.Diff) string {
	if d.Old.Kind == d.New.Kind {
		return ""
	}
	return fmt.Sprintf("OLD is %s and NEW is %s: what only one of them can have counts as added or removed", a(d.Old.Kind), a(d.New.Kind))
}

// a puts the article before a kind.
func a(kind string) string {
	if strings.ContainsRune("aeiou", rune((kind + " ")[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// remark says what the versions of a module do not.
func remark(m diff.Module, withOwners bool) string {
	var parts []string
	if withOwners && len(m.In) > 0 {
		parts = append(parts, "in "+strings.Join(idsOf(m.In), ", "))
	}
	switch m.Change {
	case diff.Rebuilt:
		parts = append(parts, "same version, different content")
	case diff.Downgraded:
		parts = append(parts, "downgraded")
	}
	return strings.Join(parts, "; ")
}

// idsOf returns refs without their versions, each once.
func idsOf(refs []string) (ids []string) {
	for _, r := range refs {
		id, _, _ := strings.Cut(r, "@")
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// changedAndMoved separates the modules of a kind that changed from those that only moved, which
// become a sentence.
func changedAndMoved(d *diff.Diff, kind string) (changed []diff.Module, moved string) {
	var names []string
	unknown := 0
	for _, m := range d.Modules {
		switch {
		case m.Kind != kind:
		case m.Change == diff.Moved:
			names = append(names, m.ID+"@"+m.To)
			if m.Unknown {
				unknown++
			}
		default:
			changed = append(changed, m)
		}
	}
	switch {
	case len(names) == 0:
		return changed, ""
	case unknown == 0:
		return changed, fmt.Sprintf("%d moved to other layers, with the same content: %s", len(names), fewOf(names, 6))
	}
	return changed, fmt.Sprintf("%d moved to other layers: %s", len(names), fewOf(names, 6))
}

// fewOf joins the first names and counts the others.
func fewOf(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// describeGroup says what changed in a group of an order.
func describeGroup(g diff.Group) string {
	var parts []string
	if len(g.Added) > 0 {
		parts = append(parts, "added "+strings.Join(g.Added, ", "))
	}
	if len(g.Removed) > 0 {
		parts = append(parts, "removed "+strings.Join(g.Removed, ", "))
	}
	for _, v := range g.Versions {
		parts = append(parts, fmt.Sprintf("%s %s -> %s", v.Name, orNone(v.From), orNone(v.To)))
	}
	if g.Reordered {
		parts = append(parts, "reordered")
	}
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// describeLabel returns what a label was and is.
func describeLabel(l diff.Label) (from, to, note string) {
	size := func(n int, change string) string {
		if l.Change == change {
			return ""
		}
		return bytes(int64(n))
	}
	if l.From+l.To != "" || l.OldBytes+l.NewBytes == 0 {
		return l.From, l.To, ""
	}
	if len(l.Keys) > 0 {
		note = fewOf(l.Keys, 8)
		if more := max(0, len(l.Keys)-8) + l.MoreKeys; l.MoreKeys > 0 {
			note = fmt.Sprintf("%s and %d more", strings.Join(l.Keys[:8], ", "), more)
		}
	}
	return size(l.OldBytes, diff.Added), size(l.NewBytes, diff.Removed), note
}

// layerLines describes the layers.
func layerLines(d *diff.Diff) (lines []string) {
	l := d.Layers
	room := func(i diff.Image) string {
		if i.Headroom < 0 {
			return fmt.Sprintf("%d too many", -i.Headroom)
		}
		return fmt.Sprintf("room for %d more", i.Headroom)
	}
	lines = append(lines, fmt.Sprintf("before: %s, %s; now: %s, %s", count(d.Old.Layers, "layer"), room(d.Old), count(d.New.Layers, "layer"), room(d.New)))
	parts := []string{fmt.Sprintf("kept %d", l.Kept), fmt.Sprintf("new %d", l.New)}
	if l.Recompressed > 0 {
		parts = append(parts, fmt.Sprintf("same content in another blob %d", l.Recompressed))
	}
	lines = append(lines, strings.Join(append(parts, fmt.Sprintf("dropped %d", l.Dropped)), ", "))
	if b := l.Base; b.New > 0 {
		words := fmt.Sprintf("build image: %d of %s kept, %d before", b.Kept, count(b.New, "layer"), b.Old)
		if b.Kept == b.New && b.Old == b.New {
			words = fmt.Sprintf("build image: %s, unchanged", count(b.New, "layer"))
		}
		lines = append(lines, words)
	}
	kept := 0
	for _, one := range l.All {
		if one.InPrefix {
			kept++
		}
	}
	return append(lines,
		"users of OLD pull "+pulled(l.Pull, d.New.Layers)+" where every blob is reused, as in containerd and registries",
		fmt.Sprintf("with Docker's graph driver, which reuses %s, they pull %s", lowest(kept), pulled(l.Prefix, d.New.Layers)))
}

// lowest names so many layers, from the bottom.
func lowest(layers int) string {
	switch layers {
	case 0:
		return "no layer"
	case 1:
		return "the lowest layer"
	}
	return fmt.Sprintf("the lowest %s", count(layers, "layer"))
}

// problemLines are what is wrong with the labels.
func problemLines(d *diff.Diff) (lines []string) {
	for _, p := range d.Old.Problems {
		lines = append(lines, "OLD: "+p)
	}
	for _, p := range d.New.Problems {
		lines = append(lines, "NEW: "+p)
	}
	return lines
}
