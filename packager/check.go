package packager

import (
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
)

// unused reports dependencies that the expansion does not use.
func (p *preparation) unused(packages []*image.Package, e flatten.Expansion) config.Problems {
	var problems config.Problems
	used := map[flatten.Ref]bool{}
	for _, r := range e.Refs {
		used[r] = true
	}
	for i, pkg := range packages[1:] {
		if !slices.ContainsFunc(pkg.Modules, func(m *image.Module) bool { return used[m.Ref()] }) {
			problems = append(problems, p.options.Config.Problem(
				fmt.Sprintf("unused dependency %s (%s): neither %s nor its buildpacks refer to it", pkg.Name, pkg.Root, e.Root),
				"dependencies", i))
		}
	}
	return problems
}

// check reports incompatible buildpacks.
func (j *Job) check() config.Problems {
	var problems config.Problems
	for _, r := range j.Expansion.Refs {
		m := j.modules[r]
		if !supports(m.Module, j.Target) {
			problems = append(problems, engine.ProblemOf(m, fmt.Sprintf("buildpack %s is for %s, not for %s", r, engine.TargetList(m.Targets), j.Target), "targets"))
		}
	}
	components := slices.DeleteFunc(j.plain(), func(m flatten.Module) bool { return m.IsComposite() || m.Kind == flatten.Extension })
	if len(components) > 0 && len(flatten.CommonStacks(components)) == 0 {
		problems = append(problems, config.Problem{File: j.modules[j.Expansion.Root].Source,
			Message: "the buildpacks have no stack in common: " + stackList(components)})
	}
	return problems
}

// plain returns the modules of the expansion, in its order.
func (j *Job) plain() []flatten.Module {
	var plain []flatten.Module
	for _, r := range j.Expansion.Refs {
		plain = append(plain, j.modules[r].Module)
	}
	return plain
}

// supports reports whether a module runs on the target's platform. Empty fields match anything.
func supports(m flatten.Module, t flatten.Target) bool {
	fits := func(has, want string) bool { return has == "" || want == "" || has == want }
	return len(m.Targets) == 0 || slices.ContainsFunc(m.Targets, func(own flatten.Target) bool {
		return fits(own.OS, t.OS) && fits(own.Arch, t.Arch) && fits(own.Variant, t.Variant)
	})
}

// stackList lists the stacks of the components that do not support all stacks.
func stackList(components []flatten.Module) string {
	var each []string
	for _, m := range components {
		var ids []string
		for _, stack := range m.Stacks {
			ids = append(ids, stack.ID)
		}
		if len(ids) > 0 && !slices.Contains(ids, flatten.AnyStack) {
			each = append(each, m.Ref().String()+" supports "+strings.Join(ids, ", "))
		}
	}
	return strings.Join(each, "; ")
}
