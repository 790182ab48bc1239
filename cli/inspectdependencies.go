package cli

import (
	"cmp"
	"html"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"laminate/packager/inspect"
)

// mergeModules returns the modules of images for several platforms, each once, with the
// dependencies of all.
func mergeModules(images []*inspect.Image) []*inspect.Module {
	var all []*inspect.Module
	known := map[string]*inspect.Module{}
	for _, img := range images {
		for _, m := range img.Modules {
			one := known[m.Kind+" "+m.Ref]
			if one == nil {
				one = &m
				one.DefaultVersions = maps.Clone(m.DefaultVersions)
				known[m.Kind+" "+m.Ref] = one
				all = append(all, one)
				continue
			}
			one.Stacks = slices.Concat(one.Stacks, m.Stacks)
			one.Targets = slices.Concat(one.Targets, m.Targets)
			one.Dependencies = slices.Concat(one.Dependencies, m.Dependencies)
			maps.Copy(one.DefaultVersions, m.DefaultVersions)
		}
	}
	return all
}

func defaultVersionRows(m *inspect.Module) (rows [][]string) {
	for _, id := range slices.Sorted(maps.Keys(m.DefaultVersions)) {
		rows = append(rows, []string{mdText(id), mdText(m.DefaultVersions[id])})
	}
	return rows
}

// dependencyRows returns dependencies by name and version, the latest first. Those that differ only
// in their stacks are one row. Columns without any value are left out.
func dependencyRows(all []inspect.Dependency) (header []string, rows [][]string) {
	type key struct{ id, version, checksum, source, platform, deprecated string }
	stacks := map[key][]string{}
	for _, d := range all {
		k := key{d.ID, d.Version, d.Checksum, "", strings.Trim(d.OS+"/"+d.Arch, "/"), d.Deprecated}
		if k.checksum == "" {
			k.source = cmp.Or(d.Source, d.URI)
		}
		stacks[k] = append(stacks[k], d.Stacks...)
	}
	keys := slices.SortedFunc(maps.Keys(stacks), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.id, b.id), compareVersions(b.version, a.version), cmp.Compare(a.platform, b.platform),
			cmp.Compare(a.checksum, b.checksum), cmp.Compare(a.source, b.source), cmp.Compare(a.deprecated, b.deprecated))
	})
	columns := []struct {
		name  string
		value func(k key) string
	}{
		{"Name", func(k key) string { return k.id }},
		{"Version", func(k key) string { return k.version }},
		{"Platform", func(k key) string { return k.platform }},
		{"Stacks", func(k key) string {
			of := slices.Clone(stacks[k])
			slices.Sort(of)
			return strings.Join(slices.Compact(of), " ")
		}},
		{"Checksum", func(k key) string { return k.checksum }},
		{"Source", func(k key) string { return k.source }},
		{"Supported Until", func(k key) string { return k.deprecated }},
	}
	rows = make([][]string, len(keys))
	for _, c := range columns {
		if !slices.ContainsFunc(keys, func(k key) bool { return c.value(k) != "" }) {
			continue
		}
		header = append(header, c.name)
		for i, k := range keys {
			rows[i] = append(rows[i], mdText(c.value(k)))
		}
	}
	return header, rows
}

// compareVersions compares versions as numbers if both are semantic ones, possibly shortened.
func compareVersions(a, b string) int {
	va, vb := "v"+strings.TrimPrefix(a, "v"), "v"+strings.TrimPrefix(b, "v")
	if semver.IsValid(va) && semver.IsValid(vb) {
		return cmp.Or(semver.Compare(va, vb), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

var (
	mdSpecial = regexp.MustCompile("[\\\\`*_{}\\[\\]<>|&~$#!]|^[-+=]")
	// mention is what makes GitHub notify people.
	mention = regexp.MustCompile(`(^|[^\w])@(\w)`)
)

// mdText escapes text from an image, on one line.
func mdText(s string) string {
	return unmentioned(mdSpecial.ReplaceAllString(oneLine(s), `\$0`))
}

func unmentioned(s string) string { return mention.ReplaceAllString(s, "$1@<!-- -->$2") }

// mdCode formats text from an image as code.
func mdCode(s string) string {
	s = strings.ReplaceAll(oneLine(s), "`", "'")
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// mdCodeCell is mdCode for a cell of a table, where a backslash comes before a pipe even in code.
func mdCodeCell(s string) string { return strings.ReplaceAll(mdCode(s), "|", `\|`) }

// mdHTML escapes text from an image inside an HTML element, where Markdown means nothing.
func mdHTML(s string) string { return unmentioned(html.EscapeString(oneLine(s))) }

// oneLine returns the words of a text on one line.
func oneLine(s string) string { return printable(strings.Join(strings.Fields(s), " ")) }
