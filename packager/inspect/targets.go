package inspect

import (
	"cmp"
	"slices"

	"laminate/flatten"
)

// mostTargets is how many targets a module may have before those that all modules support are no
// longer computed; real ones have a few.
const mostTargets = 100

// commonTargets returns the targets that all components with targets support.
func (d *description) commonTargets(kind flatten.Kind) []string {
	var common []flatten.Target
	first := true
	for _, m := range d.modules[kind] {
		if m.IsComposite() || len(m.Targets) == 0 {
			continue
		}
		of := perDistro(m.Targets)
		switch {
		case len(of) > mostTargets:
			return []string{}
		case first:
			common, first = of, false
		default:
			if common = intersect(common, of); len(common) > mostTargets {
				return []string{}
			}
		}
	}
	names := []string{}
	for _, n := range targetNames(common) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// perDistro returns targets of one distribution at most.
func perDistro(targets []flatten.Target) (all []flatten.Target) {
	for _, t := range targets {
		if len(t.Distros) < 2 {
			all = append(all, t)
			continue
		}
		all = append(all, t.PerDistro()...)
	}
	return all
}

// intersect returns the targets that both lists support. An empty part of a target matches all.
func intersect(as, bs []flatten.Target) (common []flatten.Target) {
	for _, a := range as {
		for _, b := range bs {
			if t, is := both(a, b); is && !slices.ContainsFunc(common, func(c flatten.Target) bool { return c.String() == t.String() }) {
				common = append(common, t)
			}
		}
	}
	return common
}

// both returns the target that two targets have in common.
func both(a, b flatten.Target) (t flatten.Target, is bool) {
	t = flatten.Target{OS: cmp.Or(a.OS, b.OS), Arch: cmp.Or(a.Arch, b.Arch), Variant: cmp.Or(a.Variant, b.Variant), Distros: a.Distros}
	var da, db flatten.Distro
	if len(a.Distros) > 0 {
		da = a.Distros[0]
	}
	if len(b.Distros) > 0 {
		db = b.Distros[0]
	}
	if d := (flatten.Distro{Name: cmp.Or(da.Name, db.Name), Version: cmp.Or(da.Version, db.Version)}); d != (flatten.Distro{}) {
		t.Distros = []flatten.Distro{d}
	}
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	return t, agree(a.OS, b.OS) && agree(a.Arch, b.Arch) && agree(a.Variant, b.Variant) && agree(da.Name, db.Name) && agree(da.Version, db.Version)
}
