package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"laminate/packager/inspect"
)

// printReportMarkdown prints what the notes of a release say, in the form in which Paketo's releases
// have it. Images for several platforms are one section.
func printReportMarkdown(w io.Writer, r *inspect.Report) error {
	m := &markdown{}
	var groups [][]*inspect.Image
	byRoot := map[string]int{}
	for i := range r.Images {
		img := &r.Images[i]
		root := img.Kind
		if b := img.Buildpackage; b != nil {
			root += " " + b.ID + "@" + b.Version
		}
		at, known := byRoot[root]
		if !known {
			at = len(groups)
			byRoot[root], groups = at, append(groups, nil)
		}
		groups[at] = append(groups[at], img)
	}
	for i, images := range groups {
		if i > 0 {
			m.line("---\n")
		}
		m.images(r, images, len(groups) == 1)
	}
	return write(w, m.String())
}

// markdown is a page in GitHub's dialect. What comes from images is escaped.
type markdown struct{ strings.Builder }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

// images describes the images of one buildpackage or builder for several platforms.
func (m *markdown) images(r *inspect.Report, images []*inspect.Image, all bool) {
	img := images[0]
	title := r.Name
	if b := img.Buildpackage; b != nil {
		title = cmp.Or(b.Name, b.ID) + " " + b.Version
	}
	m.line("## %s\n", mdText(title))
	if b := img.Buildpackage; b != nil {
		m.line("**ID:** %s\n", mdCode(b.ID))
	}
	m.digests(r, images, all)
	modules := mergeModules(images)
	switch {
	case img.Buildpackage != nil:
		m.buildpackage(images, modules)
	case img.Builder != nil:
		m.builder(img, modules)
	case img.App != nil:
		m.app(img.App)
	}
}

// digests lists the digests, of each platform if there are several.
func (m *markdown) digests(r *inspect.Report, images []*inspect.Image, all bool) {
	of := func(img *inspect.Image) (name, digest string) {
		if img.Digest == "" {
			return "Image ID", img.ID
		}
		return "Digest", img.Digest
	}
	name, digest := of(images[0])
	if all && r.Digest != "" {
		name, digest = "Digest", r.Digest
	}
	if len(images) == 1 || all && r.Digest != "" {
		m.line("**%s:** %s\n", name, mdCode(digest))
	}
	if len(images) == 1 {
		return
	}
	var rows [][]string
	for _, img := range images {
		_, digest := of(img)
		rows = append(rows, []string{mdText(img.Target), mdCodeCell(digest)})
	}
	m.table("Digests", []string{"Target", "Digest"}, rows)
}

func (m *markdown) buildpackage(images []*inspect.Image, modules []*inspect.Module) {
	root := images[0].Buildpackage
	var stacks, targets []string
	for _, img := range images {
		stacks = append(stacks, img.Buildpackage.Stacks...)
		targets = append(targets, img.Buildpackage.Targets...)
	}
	if root.Description != "" {
		m.line("%s\n", mdText(root.Description))
	}
	m.list("Supported Stacks", stacks)
	m.list("Supported Targets", targets)
	ref := root.ID + "@" + root.Version
	own := slices.IndexFunc(modules, func(one *inspect.Module) bool { return one.Ref == ref })
	if own >= 0 {
		if m.metadata(modules[own]); len(modules) == 1 {
			return
		}
		modules = slices.Delete(modules, own, own+1)
	}
	m.included("Included Buildpackages", modules)
	if len(images[0].Order) > 0 {
		m.details("Order Groupings", func() { m.order(images[0].Order) })
	}
	m.components(modules)
}

func (m *markdown) builder(img *inspect.Image, modules []*inspect.Module) {
	b := img.Builder
	if b.Description != "" {
		m.line("%s\n", mdText(b.Description))
	}
	if img.Stack != "" {
		m.line("**Stack:** %s\n", mdCode(img.Stack))
	}
	m.line("**Lifecycle:** %s\n", mdText(cmp.Or(b.Lifecycle.Version, "unknown")))
	var runs []string
	for _, r := range b.RunImages {
		runs = append(append(runs, r.Image), r.Mirrors...)
	}
	m.list("Run Images", runs)
	m.included("Included Buildpackages", modules)
	m.details("Order Groupings", func() { m.order(img.Order) })
	if len(img.OrderExtensions) > 0 {
		m.details("Order Groupings of Extensions", func() { m.order(img.OrderExtensions) })
	}
	m.components(modules)
}

func (m *markdown) app(a *inspect.App) {
	if run := cmp.Or(a.RunImage.Image, a.RunImage.Reference); run != "" {
		m.line("**Run Image:** %s\n", mdCode(run))
	}
	var rows [][]string
	for _, b := range a.Buildpacks {
		rows = append(rows, []string{mdText(b.Ref), mdText(b.Homepage)})
	}
	m.table("Buildpacks", []string{"Buildpack", "Homepage"}, rows)
	rows = nil
	for _, p := range a.Processes {
		command := strings.Join(slices.Concat(p.Command, p.Args), " ")
		rows = append(rows, []string{mdText(p.Type), mdCodeCell(command), mdText(p.Buildpack)})
	}
	m.table("Processes", []string{"Type", "Command", "Buildpack"}, rows)
}

func (m *markdown) included(title string, modules []*inspect.Module) {
	var rows [][]string
	for _, one := range modules {
		rows = append(rows, []string{mdText(one.Name), mdText(one.ID), mdText(one.Version)})
	}
	m.table(title, []string{"Name", "ID", "Version"}, rows)
}

// components describes each module on its own, unless there is nothing to say.
func (m *markdown) components(modules []*inspect.Module) {
	for _, one := range modules {
		if len(one.Stacks)+len(one.Targets)+len(one.DefaultVersions)+len(one.Dependencies)+len(one.Order) == 0 {
			continue
		}
		m.details(cmp.Or(one.Name, one.ID)+" "+one.Version, func() {
			m.line("**ID:** %s\n", mdCode(one.ID))
			m.list("Supported Stacks", slices.Clone(one.Stacks))
			m.list("Supported Targets", slices.Clone(one.Targets))
			m.metadata(one)
			m.order(one.Order)
		})
	}
}

// metadata lists the default versions and the dependencies of a module.
func (m *markdown) metadata(one *inspect.Module) {
	m.table("Default Dependency Versions", []string{"ID", "Version"}, defaultVersionRows(one))
	header, rows := dependencyRows(one.Dependencies)
	m.table("Dependencies", header, rows)
}

// order lists the groups of an order. An entry without a version has that of the module it names.
func (m *markdown) order(order []inspect.Group) {
	for _, g := range order {
		var rows [][]string
		for _, e := range g.Entries {
			version := cmp.Or(e.Version, strings.TrimPrefix(e.Ref, e.ID+"@"))
			rows = append(rows, []string{mdText(e.ID), mdText(version), fmt.Sprint(e.Optional)})
		}
		m.table("", []string{"ID", "Version", "Optional"}, rows)
	}
}

// details adds a part that is folded until it is clicked.
func (m *markdown) details(summary string, content func()) {
	m.line("<details>\n<summary>%s</summary>\n", mdHTML(summary))
	content()
	m.line("</details>\n")
}

// list adds a list of distinct values, sorted; nothing if it is empty.
func (m *markdown) list(title string, values []string) {
	slices.Sort(values)
	if values = slices.Compact(values); len(values) == 0 {
		return
	}
	m.line("#### %s:", title)
	for _, v := range values {
		m.line("- %s", mdCode(v))
	}
	m.line("")
}

// table adds a table of cells that are escaped already; nothing if it has no rows.
func (m *markdown) table(title string, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	if title != "" {
		m.line("#### %s:", title)
	}
	m.line("| %s |\n|%s", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, r := range rows {
		m.line("| %s |", strings.Join(r, " | "))
	}
	m.line("")
}
