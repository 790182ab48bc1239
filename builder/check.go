package builder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

const (
	// systemPlatform and extensionPlatform are the Platform APIs that know
	// system buildpacks and, no longer as an experiment, image extensions.
	systemPlatform    = "0.15"
	extensionPlatform = "0.13"
)

// check reports what does not go together: modules, lifecycle and build image.
func (j *Job) check() config.Problems {
	c := j.options.Config
	var problems config.Problems
	if c.StackID != "" && c.StackID != j.base.stackID {
		problems = append(problems, c.Problem(fmt.Sprintf("stack %q is not that of the build image %s, which is %q", c.StackID, j.base.Name, j.base.stackID), "stack", "id"))
	}
	if d := j.Target.Distros; len(d) > 0 && j.base.distro.Name != "" && d[0] != j.base.distro {
		problems = append(problems, c.Problem(fmt.Sprintf("target %s is not what the build image %s is for, which is %s", j.Target, j.base.Name, j.base.platform()), "targets"))
	}
	if !j.system.Empty() && !j.lifecycle.hasPlatform(systemPlatform) {
		problems = append(problems, c.Warning(fmt.Sprintf("lifecycle %s knows no system buildpacks: it has no Platform API %s, which 0.21.0 has", j.lifecycle.Version, systemPlatform), "system"))
	}
	if len(j.added[flatten.Extension])+len(c.OrderExtensions) > 0 && !j.lifecycle.hasPlatform(extensionPlatform) {
		problems = append(problems, c.Problem(fmt.Sprintf("lifecycle %s knows image extensions as an experiment only: it has no Platform API %s", j.lifecycle.Version, extensionPlatform), "extensions"))
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
				p := engine.ProblemOf(m, fmt.Sprintf("%s %s has Buildpack API %s, which lifecycle %s calls deprecated", kind, r, m.API, j.lifecycle.Version), "api")
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

// checkRunImages looks at the run images: those that are not to be had are a
// warning, those that do not go with the builder an error. Where the output is
// in the Docker daemon, they are there afterwards, as the pull policy says.
func (p *preparation) checkRunImages(ctx context.Context, j *Job) config.Problems {
	c := p.options.Config
	var problems config.Problems
	for _, loc := range p.runImages {
		path := c.RunImagePath(loc.index)
		file, err := p.open.Config(ctx, loc.Location, flatten.Target{OS: j.Target.OS, Arch: j.Target.Arch, Variant: j.Target.Variant})
		if err != nil {
			problem := c.Problem(fmt.Sprintf("run image %v; --skip-run-image-check leaves it unseen", err), path...)
			problem.Warning = unavailable(err)
			problems = append(problems, problem)
			continue
		}
		if id := file.Config.Labels[stackIDLabel]; c.StackID != "" && id != c.StackID {
			problems = append(problems, c.Problem(fmt.Sprintf("run image %s is of stack %q, and the builder of %q", loc, id, c.StackID), path...))
		}
	}
	return problems
}

// unavailable reports whether a registry answered that it has no such image, or
// none for us, or the Docker daemon has none and must not pull it.
func unavailable(err error) bool {
	if errors.Is(err, source.ErrNotThere) {
		return true
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}
