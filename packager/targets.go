package packager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/source"
)

// targets decides which targets there are images for: those of the options,
// else those of package.toml for a composite and of buildpack.toml for a
// component, else linux, with whatever architecture the sources have.
func (p *preparation) targets(ctx context.Context) ([]flatten.Target, error) {
	targets, err := p.wanted(ctx)
	if err != nil {
		return nil, err
	}
	if p.options.Fits == nil || len(targets) == 1 { // one is what was asked for
		return targets, nil
	}
	fitting := slices.DeleteFunc(slices.Clone(targets), func(t flatten.Target) bool { return !p.options.Fits(t) })
	if len(fitting) == 0 {
		return nil, fmt.Errorf("the destination takes none of the targets %s", names(targets))
	}
	if len(fitting) < len(targets) {
		p.warn(fmt.Sprintf("of the targets %s, the destination takes %s only", names(targets), names(fitting)))
	}
	return fitting, nil
}

func (p *preparation) wanted(ctx context.Context) ([]flatten.Target, error) {
	if len(p.options.Targets) > 0 {
		return perDistro(p.options.Targets)
	}
	anyLinux := []flatten.Target{{OS: "linux"}}
	if len(p.options.Config.Targets) > 0 {
		// package.toml names them for composites; an image as root is one too.
		return perDistro(p.forLinux(p.options.Config.Doc, p.options.Config.Targets))
	}
	root, err := p.open.Package(ctx, p.root, p.options.Config.Kind, anyLinux[0])
	if err != nil {
		if _, all := p.openAll(ctx, anyLinux[0]); all != nil {
			err = all // with what is wrong with the dependencies
		}
		return nil, err
	}
	m := root.Modules[0]
	if m.IsComposite() || m.Layer != nil || len(m.Targets) == 0 {
		return anyLinux, nil
	}
	return p.ownTargets(m)
}

// forLinux leaves out the targets of a file that are for other systems, with a
// warning, unless all of them are.
func (p *preparation) forLinux(doc config.Doc, targets []flatten.Target) []flatten.Target {
	isLinux := func(t flatten.Target) bool { return t.OS == "" || t.OS == "linux" }
	if !slices.ContainsFunc(targets, isLinux) {
		return targets
	}
	others := slices.DeleteFunc(slices.Clone(targets), isLinux)
	if len(others) > 0 {
		at := slices.IndexFunc(targets, func(t flatten.Target) bool { return !isLinux(t) })
		p.warn(doc.Warning(fmt.Sprintf("target %s skipped; laminate packages for linux only", names(others)), "targets", at).String())
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t flatten.Target) bool { return !isLinux(t) })
}

// ownTargets gives the platforms of a component's targets. Its distributions
// tell on what it runs; images of their own they have only if they are asked for.
func (p *preparation) ownTargets(m *source.Module) ([]flatten.Target, error) {
	var targets []flatten.Target
	var problems config.Problems
	for i, t := range p.forLinux(m.Doc, m.Targets) {
		if t.OS != "" && t.OS != "linux" {
			problems = append(problems, m.Doc.Problem(fmt.Sprintf("target %s: laminate packages for linux only; name the targets that you want with --target, as in --target linux/amd64", t), "targets", i))
			continue
		}
		platform := flatten.Target{OS: "linux", Arch: t.Arch, Variant: t.Variant}
		if !slices.ContainsFunc(targets, func(o flatten.Target) bool { return o.String() == platform.String() }) {
			targets = append(targets, platform)
		}
	}
	return targets, problems.Err()
}

func perDistro(targets []flatten.Target) ([]flatten.Target, error) {
	var each []flatten.Target
	var errs []error
	for _, t := range targets {
		if t.OS != "linux" {
			errs = append(errs, fmt.Errorf("target %s: laminate packages for linux only; write linux/amd64 or the like", t))
		}
		for _, one := range t.PerDistro() {
			if slices.ContainsFunc(each, func(o flatten.Target) bool { return o.String() == one.String() }) {
				errs = append(errs, fmt.Errorf("target %s is named twice", one))
			}
			each = append(each, one)
		}
	}
	return each, errors.Join(errs...)
}

// architecture gives the architecture and variant of the image: the target's,
// or that of the sources where the target names none.
func (p *preparation) architecture(target flatten.Target, packages []*source.Package) (arch, variant string, err error) {
	if target.Arch != "" {
		return target.Arch, target.Variant, nil // the sources were opened for it
	}
	var from *source.Package
	var errs []error
	for i, pkg := range packages {
		switch {
		case pkg.Target.Arch == "":
		case from == nil:
			from, arch, variant = pkg, pkg.Target.Arch, pkg.Target.Variant
		case pkg.Target.Arch != arch || pkg.Target.Variant != "" && variant != "" && pkg.Target.Variant != variant:
			errs = append(errs, fmt.Errorf("%s%s is for %s, but %s is for %s: one image cannot hold both",
				p.at(i-1), pkg.Name, pkg.Target, from.Name, from.Target))
		case variant == "" && pkg.Target.Variant != "":
			from, variant = pkg, pkg.Target.Variant
		}
	}
	return arch, variant, errors.Join(errs...)
}

// onlyArchitecture gives the architecture that all of the components are for
// that name any, where there is just one, or "".
func onlyArchitecture(modules []flatten.Module) string {
	var common []string
	for _, m := range modules {
		var own []string
		for _, t := range m.Targets {
			own = append(own, t.Arch)
		}
		switch {
		case len(own) == 0 || slices.Contains(own, ""): // it says nothing of it
		case common == nil:
			common = slices.Compact(slices.Sorted(slices.Values(own)))
		default:
			common = slices.DeleteFunc(common, func(arch string) bool { return !slices.Contains(own, arch) })
		}
	}
	if len(common) != 1 {
		return ""
	}
	return common[0]
}

func names(targets []flatten.Target) string {
	var s []string
	for _, t := range targets {
		s = append(s, t.String())
	}
	return strings.Join(s, ", ")
}
