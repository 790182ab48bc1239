package builder

import (
	"context"
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

const (
	// systemPlatform and extensionPlatform are the first Platform APIs with system buildpacks and
	// with stable image extensions.
	systemPlatform    = "0.15"
	extensionPlatform = "0.13"
)

// check reports incompatible modules, lifecycle and build image.
func (j *Job) check() config.Problems {
	c := j.options.Config
	var problems config.Problems
	if c.StackID != "" && c.StackID != j.base.stackID {
		problems = append(problems, c.Problem(fmt.Sprintf("stack %q differs from that of the build image %s, which is %q", c.StackID, j.base.Name, j.base.stackID), "stack", "id"))
	}
	if d := j.Target.Distros; len(d) > 0 && j.base.distro.Name != "" && d[0] != j.base.distro {
		problems = append(problems, c.Problem(fmt.Sprintf("target %s does not match the build image %s, which is for %s", j.Target, j.base.Name, j.base.platform()), "targets"))
	}
	if !j.system.Empty() && !j.lifecycle.hasPlatform(systemPlatform) {
		problems = append(problems, c.Warning(fmt.Sprintf("lifecycle %s does not support system buildpacks: they require Platform API %s, as in lifecycle 0.21.0", j.lifecycle.Version, systemPlatform), "system"))
	}
	if len(j.added[flatten.Extension])+len(c.OrderExtensions) > 0 && !j.lifecycle.hasPlatform(extensionPlatform) {
		problems = append(problems, c.Problem(fmt.Sprintf("lifecycle %s does not support image extensions, except as an experiment: they require Platform API %s", j.lifecycle.Version, extensionPlatform), "extensions"))
	}
	for _, kind := range kinds {
		used := j.added[kind]
		if kind == flatten.Buildpack {
			used = j.Expansion.Refs // those of the build image too, which orders name
		}
		for _, r := range used {
			m := j.modules[kind][r]
			ok, deprecated := j.lifecycle.supports(m.Module)
			if !ok {
				problems = append(problems, engine.ProblemOf(m, fmt.Sprintf("%s %s has Buildpack API %s, which lifecycle %s does not support; it supports %s", kind, r, m.API, j.lifecycle.Version, strings.Join(j.lifecycle.APIs.Buildpack.Supported, ", ")), "api"))
			}
			if deprecated {
				p := engine.ProblemOf(m, fmt.Sprintf("%s %s has Buildpack API %s, which is deprecated in lifecycle %s", kind, r, m.API, j.lifecycle.Version), "api")
				p.Warning = true
				problems = append(problems, p)
			}
			if why := j.base.runs(m.Module); why != "" {
				problems = append(problems, engine.ProblemOf(m, fmt.Sprintf("buildpack %s %s", r, why)))
			}
		}
	}
	return problems
}

// checkRunImages checks the run images: unavailable ones are a warning, incompatible ones an error.
// If the output is in the Docker daemon, it pulls them according to the pull policy.
func (p *preparation) checkRunImages(ctx context.Context, j *Job) config.Problems {
	c := p.options.Config
	var problems config.Problems
	for _, loc := range p.runImages {
		path := c.RunImagePath(loc.index)
		file, err := p.open.Config(ctx, loc.Location, flatten.Target{OS: j.Target.OS, Arch: j.Target.Arch, Variant: j.Target.Variant})
		if err != nil {
			problem := c.Problem(fmt.Sprintf("run image %v; skip the check with --skip-run-image-check", err), path...)
			problem.Warning = source.IsAbsent(err)
			problems = append(problems, problem)
			continue
		}
		if id := file.Config.Labels[stackIDLabel]; c.StackID != "" && id != c.StackID {
			problems = append(problems, c.Problem(fmt.Sprintf("run image %s has stack %q, but the builder has %q", loc, id, c.StackID), path...))
		}
	}
	return problems
}
