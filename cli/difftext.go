package cli

import (
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"

	"laminate/flatten"
	"laminate/packager/diff"
)

// diffWidth is the maximum number of columns of the text.
const diffWidth = 100

// diffSections are the sections of the text. Each returns its lines; those that begin with a sign
// are coloured.
var diffSections = []struct {
	title string
	lines func(*diff.Diff) []string
}{
	{"buildpacks", func(d *diff.Diff) []string { return moduleLines(d, "buildpack") }},
	{"extensions", func(d *diff.Diff) []string { return moduleLines(d, "extension") }},
	{"order", orderLines},
	{"settings", settingLines},
	{"labels", labelLines},
	{"layers", func(d *diff.Diff) []string { return append(layerLines(d), newLayerLines(d)...) }},
	{"problems", problemLines},
}

// diffText returns the text of a report.
func diffText(r *diff.Report, coloured bool) string {
	t := &textPage{coloured: coloured}
	t.line(r.Old.Name + " -> " + r.New.Name)
	t.line(diffHeadline(r))
	for _, g := range platformGroups(r, kindsNote) {
		t.line(g.text + g.suffix)
	}
	if r.Identical {
		return t.String()
	}
	for _, s := range diffSections {
		for _, g := range platformGroups(r, func(d *diff.Diff) string { return strings.Join(s.lines(d), "\n") }) {
			t.line("")
			t.line(s.title + g.suffix)
			for _, l := range s.lines(g.first) {
				t.line("  " + l)
			}
		}
	}
	return t.String()
}

// textPage is a text of lines that fit a terminal.
type textPage struct {
	strings.Builder
	coloured bool
}

// line prints a line, wrapped if it is too long; single words that are too long are cut.
func (t *textPage) line(text string) {
	text = printable(text)
	colour := map[string]string{"  + ": "32", "  - ": "31"}[text[:min(4, len(text))]]
	for l := range strings.SplitSeq(hang(text, diffWidth), "\n") {
		l = runewidth.Truncate(strings.TrimRight(l, " "), diffWidth, "…")
		if t.coloured && colour != "" {
			l = "\x1b[" + colour + "m" + l + "\x1b[0m"
		}
		t.WriteString(l + "\n")
	}
}

// hang breaks a line at spaces. It keeps the first line's spaces, and indents the others by six.
func hang(text string, width int) string {
	if runewidth.StringWidth(text) <= width {
		return text
	}
	indent := 0
	for indent < len(text) && text[indent] == ' ' {
		indent++
	}
	words := strings.SplitAfter(text[indent:], " ")
	lines, line := []string{}, text[:indent]
	fresh := true
	for _, w := range words {
		if !fresh && strings.TrimSpace(w) != "" && runewidth.StringWidth(line)+runewidth.StringWidth(strings.TrimRight(w, " ")) > width {
			lines, line = append(lines, line), strings.Repeat(" ", 6)
		}
		line += w
		fresh = false
	}
	return strings.Join(append(lines, line), "\n")
}

// columns aligns the cells of rows, but for the last of each row. Cells that are very long do not
// count.
func columns(rows [][]string) (lines []string) {
	const most = 44
	widths := []int{}
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if w := runewidth.StringWidth(printable(cell)); w <= most {
				widths[i] = max(widths[i], w)
			}
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = printable(cell)
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", max(0, widths[i]-runewidth.StringWidth(cell))+gap(i)))
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// gap is the space behind a column. The first one is a sign.
func gap(column int) int {
	if column == 0 {
		return 1
	}
	return 2
}

// signs are the signs before what changed; all others have a tilde.
var signs = map[string]string{diff.Added: "+", diff.Removed: "-"}

func sign(change string) string {
	if s := signs[change]; s != "" {
		return s
	}
	return "~"
}

// fromTo returns how a value replaces another.
func fromTo(change, from, to string) string {
	switch change {
	case diff.Added:
		return to
	case diff.Removed:
		return from
	}
	return orNone(from) + " -> " + orNone(to)
}

// moduleLines describes the modules of a kind.
func moduleLines(d *diff.Diff, kind string) (lines []string) {
	changed, moved := changedAndMoved(d, kind)
	var rows [][]string
	for _, m := range changed {
		versions := fromTo(m.Change, m.From, m.To)
		if m.Change == diff.Rebuilt {
			versions = m.To
		}
		rows = append(rows, []string{sign(m.Change), m.ID, versions, remark(m, true)})
	}
	lines = columns(rows)
	if moved != "" {
		lines = append(lines, moved)
	}
	if (len(lines) > 0 || d.Unknown > 0) && kind == "buildpack" {
		lines = append(lines, unchangedWords(d)...)
	}
	return lines
}

// unchangedWords counts the modules that are the same.
func unchangedWords(d *diff.Diff) []string {
	switch {
	case d.Unchanged+d.Unknown == 0:
		return nil
	case d.Unknown > 0:
		return []string{fmt.Sprintf("%d unchanged; whether the content of %d is the same is unknown without reading layers", d.Unchanged, d.Unknown)}
	}
	return []string{fmt.Sprintf("%d unchanged", d.Unchanged)}
}

// orderLines describes the orders.
func orderLines(d *diff.Diff) (lines []string) {
	for _, o := range d.Orders {
		name := ""
		if o.Name != "order" {
			name = o.Name + ", "
		}
		for _, g := range o.Groups {
			at := fmt.Sprintf("%sgroup %d", name, max(g.From, g.To))
			switch g.Change {
			case diff.Added, diff.Removed:
				at += ": " + strings.Join(g.Entries, ", ")
			case diff.Moved:
				at = fmt.Sprintf("%sgroup %d is now %d: %s", name, g.From, g.To, strings.Join(g.Entries, ", "))
			default:
				at = fmt.Sprintf("%sgroup %d: %s", name, g.To, describeGroup(g))
			}
			lines = append(lines, sign(g.Change)+" "+at)
		}
	}
	return lines
}

// settingLines describes values, lists and the environment.
func settingLines(d *diff.Diff) []string {
	var rows [][]string
	value := func(name string, v diff.Value) {
		rows = append(rows, []string{sign(v.Change), name, fromTo(v.Change, flatten.Clip(v.From), flatten.Clip(v.To))})
	}
	for _, v := range d.Values {
		value(v.Name, v)
	}
	for _, l := range d.Lists {
		for _, s := range l.Removed {
			rows = append(rows, []string{"-", l.Name, flatten.Clip(s)})
		}
		for _, s := range l.Added {
			rows = append(rows, []string{"+", l.Name, flatten.Clip(s)})
		}
		if l.Reordered {
			rows = append(rows, []string{"~", l.Name, "in another order"})
		}
	}
	for _, v := range d.Env {
		value("env "+v.Name, v)
	}
	return columns(rows)
}

// labelLines describes the labels that the rest does not cover.
func labelLines(d *diff.Diff) []string {
	var rows [][]string
	for _, l := range d.Labels {
		if l.Covered {
			continue
		}
		from, to, note := describeLabel(l)
		text := fromTo(l.Change, flatten.Clip(from), flatten.Clip(to))
		if note != "" {
			text += "; changed in it: " + note
		}
		rows = append(rows, []string{sign(l.Change), l.Key, text})
	}
	return columns(rows)
}

// mostNewLayers is how many new layers are listed.
const mostNewLayers = 12

// newLayerLines lists the layers that OLD lacks.
func newLayerLines(d *diff.Diff) []string {
	var rows [][]string
	for _, l := range d.Layers.All {
		if l.State == diff.Kept {
			continue
		}
		size := "unknown size"
		if l.Bytes != nil {
			size = bytes(*l.Bytes)
		}
		what := fewOf(l.Refs, 4)
		if l.State == diff.Recompressed {
			what = strings.TrimSpace("same content in another blob  " + what)
		}
		rows = append(rows, []string{"+", fmt.Sprintf("layer %d", l.Number), size, what})
	}
	more := len(rows) - mostNewLayers
	lines := columns(rows[:min(len(rows), mostNewLayers)])
	if more > 0 {
		lines = append(lines, "and "+count(more, "more layer"))
	}
	return lines
}
