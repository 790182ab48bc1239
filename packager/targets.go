package packager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
)

// wanted decides which targets there are images for: those of the options,
// else those of package.toml for a composite and of buildpack.toml for a
// component, else linux, with whatever architecture the sources have.
func (p *preparation) wanted(ctx context.Context) ([]flatten.Target, error) {
	if len(p.options.Targets) > 0 {
		return p.options.Targets, nil
	}
	anyLinux := []flatten.Target{{OS: "linux"}}
	if len(p.options.Config.Targets) > 0 {
		// package.toml names them for composites; an image as root is one too.
		return p.forLinux(p.options.Config.Doc, p.options.Config.Targets), nil
	}
	root, err := p.open.Package(ctx, p.sources[0].Location, p.sources[0].Kind, anyLinux[0])
	if err != nil {
		if _, all := engine.OpenAll(ctx, p.open, p.sources, anyLinux[0]); all != nil {
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

// forLinux returns the targets of a file that images can be made for.
func (p *preparation) forLinux(doc config.Doc, targets []flatten.Target) []flatten.Target {
	kept, skipped := doc.ForLinux(targets)
	for _, w := range skipped {
		p.Warn(w.Error())
	}
	return kept
}

// ownTargets returns the platforms of a component's targets. Its distributions
// tell on what it runs; images of their own they have only if they are asked for.
func (p *preparation) ownTargets(m *image.Module) ([]flatten.Target, error) {
	var targets []flatten.Target
	var problems config.Problems
	for i, t := range p.forLinux(m.Doc, m.Targets) {
		if t.OS != "" && t.OS != "linux" {
			problems = append(problems, m.Doc.Problem(fmt.Sprintf("target %s: laminate makes images for linux only; choose targets with --target, as in --target linux/amd64", t), "targets", i))
			continue
		}
		platform := flatten.Target{OS: "linux", Arch: t.Arch, Variant: t.Variant}
		if !slices.ContainsFunc(targets, func(o flatten.Target) bool { return o.String() == platform.String() }) {
			targets = append(targets, platform)
		}
	}
	return targets, problems.Err()
}

// architecture returns the architecture and variant of the image: the target's,
// or that of the sources where the target names none.
func (p *preparation) architecture(target flatten.Target, packages []*image.Package) (arch, variant string, err error) {
	if target.Arch != "" {
		return target.Arch, target.Variant, nil // the sources were opened for it
	}
	var from *image.Package
	var errs []error
	for i, pkg := range packages {
		switch {
		case pkg.Target.Arch == "":
		case from == nil:
			from, arch, variant = pkg, pkg.Target.Arch, pkg.Target.Variant
		case pkg.Target.Arch != arch || pkg.Target.Variant != "" && variant != "" && pkg.Target.Variant != variant:
			problem := p.sources[i].At
			problem.Message = fmt.Sprintf("%s is for %s, but %s is for %s: one image cannot hold both",
				pkg.Name, pkg.Target, from.Name, from.Target)
			errs = append(errs, problem)
		case variant == "" && pkg.Target.Variant != "":
			from, variant = pkg, pkg.Target.Variant
		}
	}
	return arch, variant, errors.Join(errs...)
}

// onlyArchitecture returns the architecture that all of the components are for
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
