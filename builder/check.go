package builder

import (
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// check reports incompatible modules, lifecycle and build image.
func (c *contents) check() config.Problems {
	file := c.options.Config
	var problems config.Problems
	if file.StackID != "" && file.StackID != c.base.stackID {
		problems = append(problems, file.Problem(fmt.Sprintf("stack %q differs from that of the build image %s, which is %q", file.StackID, c.base.Name, c.base.stackID), "stack", "id"))
	}
	if d := c.target.Distros; len(d) > 0 && c.base.distro.Name != "" && d[0] != c.base.distro {
		problems = append(problems, file.Problem(fmt.Sprintf("target %s does not match the build image %s, which is for %s", c.target, c.base.Name, c.base.platform()), "targets"))
	}
	if !c.system.Empty() && !c.lifecycle.HasPlatform(flatten.SystemPlatform) {
		problems = append(problems, file.Warning(fmt.Sprintf("lifecycle %s does not support system buildpacks: they require Platform API %s, as in lifecycle 0.21.0", c.lifecycle.Version, flatten.SystemPlatform), "system"))
	}
	if len(c.added[flatten.Extension])+len(file.OrderExtensions) > 0 && !c.lifecycle.HasPlatform(flatten.ExtensionPlatform) {
		problems = append(problems, file.Problem(fmt.Sprintf("lifecycle %s does not support image extensions, except as an experiment: they require Platform API %s", c.lifecycle.Version, flatten.ExtensionPlatform), "extensions"))
	}
	for _, kind := range kinds {
		used := c.added[kind]
		if kind == flatten.Buildpack {
			used = c.expansion.Refs // those of the build image too, which orders name
		}
		for _, r := range used {
			m := c.modules[kind][r]
			ok, deprecated := c.lifecycle.Supports(m.Module)
			if !ok {
				problems = append(problems, engine.ProblemOf(m, fmt.Sprintf("%s %s has Buildpack API %s, which lifecycle %s does not support; it supports %s", kind, r, m.API, c.lifecycle.Version, strings.Join(c.lifecycle.APIs.Buildpack.Supported, ", ")), "api"))
			}
			if deprecated {
				p := engine.ProblemOf(m, fmt.Sprintf("%s %s has Buildpack API %s, which is deprecated in lifecycle %s", kind, r, m.API, c.lifecycle.Version), "api")
				p.Warning = true
				problems = append(problems, p)
			}
			if why := c.base.runs(m.Module); why != "" {
				problems = append(problems, engine.ProblemOf(m, fmt.Sprintf("buildpack %s %s", r, why)))
			}
		}
	}
	return problems
}

// checkRunImages checks the run images: unavailable ones are a warning, incompatible ones an error.
// If the output is in the Docker daemon, it pulls them according to the pull policy.
func (p *preparation) checkRunImages(opened rest) config.Problems {
	c := p.options.Config
	var problems config.Problems
	for i, loc := range p.runImages {
		path := c.RunImagePath(loc.index)
		file, err := opened.runImages[i]()
		if err != nil {
			problem := c.Problem(fmt.Sprintf("run image %v; skip the check with --skip-run-image-check", err), path...)
			problem.Warning = source.IsAbsent(err)
			problems = append(problems, problem)
			continue
		}
		if id := file.Config.Labels[flatten.StackIDLabel]; c.StackID != "" && id != c.StackID {
			problems = append(problems, c.Problem(fmt.Sprintf("run image %s has stack %q, but the builder has %q", loc, id, c.StackID), path...))
		}
	}
	return problems
}
