package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
)

// kinds are the kinds of modules, in processing order.
var kinds = []flatten.Kind{flatten.Buildpack, flatten.Extension}

// collect merges the modules of the sources and the build image. If both have a ref, it uses the
// source's for now; see override.
func (c *contents) collect(ctx context.Context, packages map[flatten.Kind][]*image.Package) (problems config.Problems, conflicts error) {
	c.modules, c.added = map[flatten.Kind]engine.Modules{}, map[flatten.Kind][]flatten.Ref{}
	for _, kind := range kinds {
		collected, err := engine.Collect(ctx, packages[kind], c.options.OnConflict)
		problems = append(problems, collected.Problems...)
		conflicts = errors.Join(conflicts, err)
		if kind == flatten.Buildpack {
			c.packed = collected.Packed(packages[kind])
		}
		all := collected.Modules
		dirs := map[string]flatten.Ref{}
		for r := range all {
			dirs[kind.Dir(r)] = r
		}
		for _, m := range c.base.modules[kind] {
			r := m.Ref()
			if other, taken := dirs[kind.Dir(r)]; taken && other != r {
				conflicts = errors.Join(conflicts, fmt.Errorf("%s %s (%s) and %s of the build image share the directory %s; change the id or version of one", kind, other, all[other].Source, r, kind.Dir(r)))
			}
			if all[r] == nil {
				all[r] = m
			}
		}
		c.modules[kind] = all
	}
	return problems, conflicts
}

// contradictions reports sources that do not match the id and version in builder.toml.
func (p *preparation) contradictions(packages map[flatten.Kind][]*image.Package) (problems config.Problems) {
	c := p.options.Config
	for _, kind := range kinds {
		said := listed(c, kind)
		for i, pkg := range packages[kind] {
			is := pkg.Root
			want := flatten.Ref{ID: cmp.Or(said[i].ID, is.ID), Version: cmp.Or(said[i].Version, is.Version)}
			if want != is {
				problems = append(problems, c.Problem(fmt.Sprintf("%s holds %s, not %s", pkg.Name, is, want), string(kind)+"s", i))
			}
		}
	}
	return problems
}

// expand expands the modules that the orders name.
func (c *contents) expand(packages map[flatten.Kind][]*image.Package) config.Problems {
	file := c.options.Config
	buildpacks, extensions := c.modules[flatten.Buildpack].Plain(), c.modules[flatten.Extension].Plain()
	var problems config.Problems
	var named []flatten.Ref
	resolve := func(kind flatten.Kind, modules flatten.Modules, entries []flatten.Entry, path ...any) []flatten.Entry {
		var resolved []flatten.Entry
		finder := modules.Finder()
		for i, e := range entries {
			found := finder.Find(e)
			if message := unresolved(kind, e, found, modules, len(problems) < mostSuggestions); message != "" {
				problems = append(problems, file.Problem(message, append(slices.Clone(path), i)...))
				continue
			}
			e.Version = found[0].Version
			named = append(named, found[0])
			resolved = append(resolved, e)
		}
		return resolved
	}
	for i, g := range file.Order {
		c.order.Order = append(c.order.Order, flatten.Group{Entries: resolve(flatten.Buildpack, buildpacks, g.Entries, "order", i, "group")})
	}
	c.system.Pre.Buildpacks = resolve(flatten.Buildpack, buildpacks, file.System.Pre.Buildpacks, "system", "pre", "buildpacks")
	c.system.Post.Buildpacks = resolve(flatten.Buildpack, buildpacks, file.System.Post.Buildpacks, "system", "post", "buildpacks")
	var tops []flatten.Ref
	for _, pkg := range packages[flatten.Buildpack] {
		tops = append(tops, pkg.Root)
	}
	tops = append(tops, named...)
	for i, g := range file.OrderExtensions {
		c.order.Extensions = append(c.order.Extensions, flatten.Group{Entries: resolve(flatten.Extension, extensions, g.Entries, "order-extensions", i, "group")})
	}
	var found []flatten.Problem
	c.expansion, found = buildpacks.ExpandAll(tops)
	problems = append(problems.InOrder(), c.modules[flatten.Buildpack].Problems(found)...)
	c.add(packages)
	return problems
}

// mostSuggestions is for how many unknown entries similar modules are suggested. More problems than
// that are not shown.
const mostSuggestions = 20

// unresolved returns why an entry of builder.toml does not match exactly one module, or "". With
// suggest, it suggests similar modules for an unknown one.
func unresolved(kind flatten.Kind, e flatten.Entry, found []flatten.Ref, at flatten.Modules, suggest bool) string {
	switch {
	case len(found) == 1:
		return ""
	case len(found) > 1:
		return fmt.Sprintf("ambiguous %s %q: found %s; name one", kind, e.ID, flatten.Few(found))
	}
	var names []string
	if suggest {
		for r := range at {
			names = append(names, r.String())
		}
		slices.Sort(names)
	}
	if near := flatten.NearMisses(e.Ref().String(), names); len(near) > 0 {
		return fmt.Sprintf("unknown %s %q; did you mean %s?", kind, e.Ref(), flatten.AnyOf(near))
	}
	return fmt.Sprintf("unknown %s %q; list its source in [[%ss]]", kind, e.Ref(), kind)
}

// add records the modules that are not in the build image.
func (c *contents) add(packages map[flatten.Kind][]*image.Package) {
	for _, r := range c.expansion.Refs {
		if !slices.Contains(c.base.modules[flatten.Buildpack], c.modules[flatten.Buildpack][r]) {
			c.added[flatten.Buildpack] = append(c.added[flatten.Buildpack], r)
		}
	}
	for _, pkg := range packages[flatten.Extension] {
		if !slices.Contains(c.added[flatten.Extension], pkg.Root) {
			c.added[flatten.Extension] = append(c.added[flatten.Extension], pkg.Root)
		}
	}
}

// override compares modules that both the build image and a source have: equal content is left in
// the build image; different content replaces it, with a whiteout.
func (c *contents) override(ctx context.Context) error {
	var errs []error
	for _, kind := range kinds {
		for _, old := range c.base.modules[kind] {
			r := old.Ref()
			m := c.modules[kind][r]
			if m == old || !slices.Contains(c.added[kind], r) {
				continue
			}
			same, err := engine.SameContent(ctx, old, m)
			switch {
			case err != nil:
				errs = append(errs, err)
			case same:
				c.modules[kind][r] = old
				c.added[kind] = slices.DeleteFunc(c.added[kind], func(a flatten.Ref) bool { return a == r })
			default:
				c.overridden = append(c.overridden, r)
				c.whiteouts = append(c.whiteouts, kind.IDDir(r)+"/.wh."+r.Version)
			}
		}
	}
	return errors.Join(errs...)
}
