package cli

import (
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/diff"
)

// diffMarkdown returns the Markdown of a report.
func diffMarkdown(r *diff.Report) string {
	var s strings.Builder
	fmt.Fprintf(&s, "### %s → %s\n\n", mdText(r.Old.Name), mdText(r.New.Name))
	headline := mdText(diffHeadline(r))
	fmt.Fprintf(&s, "%s%s.\n", strings.ToUpper(headline[:1]), headline[1:])
	for _, g := range platformGroups(r, kindsNote) {
		fmt.Fprintf(&s, "\n%s.\n", mdText(g.text+g.suffix))
	}
	if r.Identical {
		return s.String()
	}
	for _, section := range []struct {
		title string
		text  func(*diff.Diff) string
	}{
		{"Buildpacks", func(d *diff.Diff) string { return markdownModules(d, "buildpack") }},
		{"Extensions", func(d *diff.Diff) string { return markdownModules(d, "extension") }},
		{"Order", func(d *diff.Diff) string { return markdownList(orderLines(d)) }},
		{"Settings", markdownSettings},
		{"Labels", markdownLabels},
		{"Layers", markdownLayers},
		{"Problems", func(d *diff.Diff) string { return markdownList(problemLines(d)) }},
	} {
		for _, g := range platformGroups(r, section.text) {
			fmt.Fprintf(&s, "\n#### %s%s\n\n%s", section.title, mdText(g.suffix), g.text)
		}
	}
	return s.String()
}

// markdownTable returns a table, or "" without rows. Cells are escaped.
func markdownTable(head string, rows [][]string) string {
	if len(rows) == 0 {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "| %s |\n|%s\n", head, strings.Repeat(" --- |", strings.Count(head, "|")+1))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = mdText(cell)
		}
		s.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return s.String()
}

// markdownList returns a list of lines, which are escaped.
func markdownList(lines []string) string {
	var s strings.Builder
	for _, l := range lines {
		for _, words := range [][2]string{{"+ ", "added "}, {"- ", "removed "}, {"~ ", ""}} {
			if rest, is := strings.CutPrefix(l, words[0]); is {
				l = words[1] + rest
				break
			}
		}
		s.WriteString("- " + mdText(l) + "\n")
	}
	return s.String()
}

// markdownModules describes the modules of a kind: top-level ones in a table, the others folded.
func markdownModules(d *diff.Diff, kind string) string {
	changed, moved := changedAndMoved(d, kind)
	var top, nested [][]string
	for _, m := range changed {
		to := m.To
		if note := remark(m, false); note != "" {
			to = strings.TrimSpace(to + " (" + note + ")")
		}
		if m.TopLevel {
			top = append(top, []string{m.ID, m.From, to})
		} else {
			nested = append(nested, []string{m.ID, m.From, to, strings.Join(idsOf(m.In), ", ")})
		}
	}
	title := strings.ToUpper(kind[:1]) + kind[1:]
	parts := []string{markdownTable(title+" | From | To", top)}
	if len(nested) > 0 {
		parts = append(parts, fmt.Sprintf("<details>\n<summary>%s changed</summary>\n\n%s\n</details>\n",
			count(len(nested), "nested "+kind), markdownTable(title+" | From | To | In", nested)))
	}
	if moved != "" {
		parts = append(parts, mdText(moved)+".\n")
	}
	if d.Unknown > 0 && kind == "buildpack" {
		parts = append(parts, mdText(strings.Join(unchangedWords(d), ""))+".\n")
	}
	return joinParts(parts)
}

// joinParts puts empty lines between parts that are not empty.
func joinParts(parts []string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "\n")
}

// markdownSettings describes values, lists and the environment.
func markdownSettings(d *diff.Diff) string {
	var rows [][]string
	for _, v := range d.Values {
		rows = append(rows, []string{v.Name, flatten.Clip(v.From), flatten.Clip(v.To)})
	}
	for _, l := range d.Lists {
		if l.Reordered && len(l.Added)+len(l.Removed) == 0 {
			rows = append(rows, []string{l.Name, "", "in another order"})
			continue
		}
		rows = append(rows, []string{l.Name, fewOf(l.Removed, 10), fewOf(l.Added, 10)})
	}
	for _, v := range d.Env {
		rows = append(rows, []string{"env " + v.Name, flatten.Clip(v.From), flatten.Clip(v.To)})
	}
	return markdownTable("Setting | From | To", rows)
}

// markdownLabels describes the labels that the rest does not cover, folded.
func markdownLabels(d *diff.Diff) string {
	var rows [][]string
	for _, l := range d.Labels {
		if l.Covered {
			continue
		}
		from, to, note := describeLabel(l)
		if note != "" {
			to += "; changed in it: " + note
		}
		rows = append(rows, []string{l.Key, flatten.Clip(from), to})
	}
	return markdownTable("Label | From | To", rows)
}

// markdownLayers describes the layers and what is pulled.
func markdownLayers(d *diff.Diff) string {
	l := d.Layers
	size := func(n *int64) string {
		if n == nil {
			return "unknown"
		}
		return bytes(*n)
	}
	rows := [][]string{
		{"before", fmt.Sprint(d.Old.Layers), size(d.Old.Bytes)},
		{"now", fmt.Sprint(d.New.Layers), size(d.New.Bytes)},
		{"pulled by users of the old image", fmt.Sprint(l.Pull.Layers), size(l.Pull.Bytes)},
		{"the same, with Docker's graph driver", fmt.Sprint(l.Prefix.Layers), size(l.Prefix.Bytes)},
	}
	lines := layerLines(d)
	return markdownTable("Image | Layers | Compressed", rows) + "\n" + markdownList(lines[:len(lines)-2])
}
