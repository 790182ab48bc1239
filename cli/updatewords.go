package cli

import (
	"cmp"
	"fmt"
	"strings"

	"laminate/builder/update"
)

// updateText returns the text of a plan: what changes, and what is newer but stays; with all, also
// what stays for other reasons.
func updateText(plan *update.Plan, all bool) string {
	var rows [][3]string
	var width [2]int
	for _, i := range plan.Items {
		if !all && !isNews(i) {
			continue
		}
		row := [3]string{fmt.Sprintf("%s:%d", i.File, i.Line), printable(i.Name), updateWords(i)}
		rows = append(rows, row)
		for j := range width {
			width[j] = max(width[j], len(row[j]))
		}
	}
	var s strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&s, "%-*s  %-*s  %s\n", width[0], printable(row[0]), width[1], row[1], printable(row[2]))
	}
	return s.String()
}

// isNews reports whether an item changes, or would if it were not for a limit or a missing tag.
func isNews(i update.Item) bool {
	switch i.Status {
	case update.Update:
		return true
	case update.Held:
		return i.Newest != "" || i.Reason != pinned
	case update.Skipped:
		return i.FromDigest != ""
	}
	return false
}

// pinned is the reason of what a comment pins.
const pinned = "pinned"

// updateWords describes what becomes of an item.
func updateWords(i update.Item) string {
	from, to := updateEnds(i)
	var words string
	switch i.Status {
	case update.Update:
		words = from + " -> " + to
	case update.Current:
		return cmp.Or(from, "latest") + " is the newest"
	case update.Moving:
		return cmp.Or(from, "latest") + " stays: a moving tag"
	case update.Held:
		words = strings.TrimSpace(from + " stays")
	case update.Skipped:
		return strings.TrimSpace(from+" stays") + ": " + i.Reason
	}
	switch {
	case i.Newest != "" && i.Status == update.Update:
		words += fmt.Sprintf(", not %s: %s", i.Newest, i.Reason)
	case i.Newest != "":
		words += fmt.Sprintf(", %s is newer: %s", i.Newest, i.Reason)
	case i.Reason != "" && i.Status == update.Update:
		words += ", " + i.Reason
	case i.Reason != "":
		words += ": " + i.Reason
	}
	if link := linkOf(i); link != "" {
		words += "  " + link
	}
	return words
}

// updateEnds returns what an item moves between: versions or, where the tag stays, digests.
func updateEnds(i update.Item) (from, to string) {
	from, to = cmp.Or(i.From, shortDigest(i.FromDigest)), i.To
	if i.Status == update.Update && i.FromDigest != "" && (i.From == i.To || i.From == "") {
		from = strings.TrimPrefix(i.From+"@"+shortDigest(i.FromDigest), "@")
		to = strings.TrimPrefix(i.To+"@"+shortDigest(i.ToDigest), "@")
	}
	return from, to
}

// linkOf returns the most useful link.
func linkOf(i update.Item) string { return cmp.Or(i.Links.Releases, i.Links.URL, i.Links.Source) }

// updateMarkdown returns the Markdown of a plan, for the text of a pull request.
func updateMarkdown(plan *update.Plan) string {
	var changes, held [][]string
	for _, i := range plan.Items {
		from, to := updateEnds(i)
		place := fmt.Sprintf("%s:%d", i.File, i.Line)
		switch {
		case i.Status == update.Update:
			note := cmp.Or(i.Reason, "")
			if i.Newest != "" {
				note = fmt.Sprintf("not %s: %s", i.Newest, i.Reason)
			}
			changes = append(changes, []string{i.Name, from, to, linkOf(i), note, place})
		case isNews(i):
			held = append(held, []string{i.Name, from, i.Newest, i.Reason, place})
		}
	}
	parts := []string{markdownTable("Name | From | To | Link | Note | Place", changes)}
	if len(changes) == 0 {
		parts = []string{"Everything is up to date.\n"}
	}
	if table := markdownTable("Name | Version | Newest | Reason | Place", held); table != "" {
		parts = append(parts, "Stays as it is:\n", table)
	}
	var warnings []string
	for _, w := range plan.Warnings {
		warnings = append(warnings, w.Error())
	}
	return joinParts(append(parts, markdownList(warnings)))
}
