package packager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/source"
)

// openJobs is how many sources are opened at once.
const openJobs = 4

// Job is one image to be built: everything about it is decided and checked.
type Job struct {
	// Target is the image's platform.
	Target    flatten.Target
	Expansion flatten.Expansion
	Plan      flatten.LayerPlan
	// MaxLayers is how many layers the image may have, 0 if that is not limited.
	MaxLayers int

	modules engine.Modules
	stacks  []flatten.Stack
	options Options
	maker   *engine.Maker
}

// Prepare opens the sources, for each target on its own, and decides what
// their images will be. Sources must be opened with an opener whose work
// directory stays as long as the jobs are in use. Warnings go to the log; what
// is wrong with the input is returned all at once, in the order of the input.
func Prepare(ctx context.Context, open *source.Opener, o Options) ([]*Job, error) {
	o = o.orDefaults()
	root, deps, problems := locations(o.Config)
	_, unsupported := o.family()
	if err := errors.Join(problems.Err(), o.checkLabels(), unsupported); err != nil {
		return nil, err
	}
	p := &preparation{open: open, options: o, root: root, deps: deps, warned: map[string]bool{}, maker: engine.NewMaker(o.WorkDir, o.Compression, o.Cache, o.Log)}
	targets, err := p.targets(ctx)
	if err != nil {
		return nil, err
	}
	jobs, errs := make([]*Job, len(targets)), make([]error, len(targets))
	for i, t := range targets {
		jobs[i], errs[i] = p.job(ctx, t)
	}
	if err := engine.Together(targets, errs); err != nil {
		return nil, err
	}
	p.warnOffSpec(jobs)
	return jobs, nil
}

// preparation is what the jobs of one run have in common.
type preparation struct {
	open    *source.Opener
	options Options
	root    location.Location
	deps    []location.Location
	warned  map[string]bool
	maker   *engine.Maker
}

func (p *preparation) warn(message string) {
	if !p.warned[message] {
		p.warned[message] = true
		p.options.Log.Warn(message)
	}
}

// warnOffSpec says once what the distribution spec thinks of shared layers.
func (p *preparation) warnOffSpec(jobs []*Job) {
	for _, j := range jobs {
		if len(j.Plan) < len(j.Expansion.Refs) {
			p.warn("several buildpacks share a layer, as asked; the distribution spec has one layer for each in a buildpackage")
		}
	}
}

// job decides everything about the image for one target.
func (p *preparation) job(ctx context.Context, target flatten.Target) (*Job, error) {
	packages, err := p.openAll(ctx, target)
	if err != nil {
		return nil, err
	}
	j := &Job{Target: target, MaxLayers: max(p.options.MaxLayers, 0), options: p.options, maker: p.maker}
	var mixed error
	j.Target.Arch, j.Target.Variant, mixed = p.architecture(target, packages)
	all, conflicts := engine.Collect(ctx, packages, p.options.OnConflict)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var faults []flatten.Fault
	j.modules = all.Modules
	j.Expansion, faults = j.modules.Plain().Expand(packages[0].Root)
	problems := append(all.Problems, j.modules.Problems(faults)...)
	problems = append(problems, p.besides(faults)...)
	if j.Target.Arch == "" {
		j.Target.Arch = onlyArchitecture(j.plain())
	}
	whole := problems.Err() == nil // else much of it would seem to be unused
	if whole {
		problems = append(problems, p.unused(packages, j.Expansion)...)
		problems = append(problems, j.check()...)
	}
	for _, w := range problems.Warnings() {
		p.warn(w.String())
	}
	if p.options.Config.Kind == flatten.Buildpack {
		j.stacks = flatten.CommonStacks(j.plain())
	}
	err = errors.Join(mixed, conflicts, problems.Err())
	if whole {
		var wrong error
		j.maker, wrong = p.maker.Follow(ctx, p.open, p.options.Previous, j.Target)
		if err = errors.Join(err, wrong); wrong == nil {
			err = errors.Join(err, j.plan(ctx, all.Packed(packages)))
		}
	}
	return j, err
}

// besides hints at the package.toml that lies in the directory of a root that
// was named without it, where something is missing.
func (p *preparation) besides(faults []flatten.Fault) config.Problems {
	file := filepath.Join(p.root.Path, "package.toml")
	missing := slices.ContainsFunc(faults, func(f flatten.Fault) bool { return !f.Warning })
	if p.options.Config.File != "" || p.root.Kind != location.Path || !missing {
		return nil
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return config.Problems{{File: file, Message: "it may name what is missing; package with --config " + file}}
}

// plan decides on the layers, once the expansion is whole.
func (j *Job) plan(ctx context.Context, packed [][]flatten.Ref) (err error) {
	wishes := j.options.Wishes
	if wishes.Mode == flatten.Auto {
		return j.planAuto(ctx, wishes)
	}
	wishes.Packed = packed
	if j.Plan, err = flatten.Plan(j.Expansion, j.modules.Plain(), wishes); err != nil {
		return err
	}
	return j.countLayers(wishes.Mode)
}

// planAuto plans for a builder's number of layers where no other is given.
func (j *Job) planAuto(ctx context.Context, wishes flatten.Wishes) error {
	fixed, err := wishes.Claimed(j.Expansion)
	if err != nil {
		return err
	}
	j.MaxLayers = cmp.Or(j.MaxLayers, flatten.Budget(false))
	if j.MaxLayers <= len(fixed) { // then the fewest are too many, or just enough
		wishes.Mode = flatten.All
		if j.Plan, err = flatten.Plan(j.Expansion, j.modules.Plain(), wishes); err != nil {
			return err
		}
		return j.countLayers(wishes.Mode)
	}
	j.Plan, err = j.maker.Auto(ctx, j.modules, j.Expansion, j.Expansion.Refs, fixed, j.MaxLayers)
	return err
}

// Outlook tells what the plan means for those who have the previous image.
func (j *Job) Outlook(ctx context.Context) (engine.Outlook, error) {
	return j.maker.Outlook(ctx, j.modules, j.Plan, nil)
}

// openAll opens the root and the dependencies, the root first.
func (p *preparation) openAll(ctx context.Context, target flatten.Target) ([]*source.Package, error) {
	locs := append([]location.Location{p.root}, p.deps...)
	packages := make([]*source.Package, len(locs))
	errs := make([]error, len(locs))
	var group errgroup.Group
	group.SetLimit(openJobs)
	for i, loc := range locs {
		group.Go(func() (err error) {
			packages[i], err = p.open.Package(ctx, loc, p.options.Config.Kind, target)
			if err != nil && i > 0 {
				err = engine.Prefixed(p.at(i-1), err)
			}
			errs[i] = err
			return nil // all of them are tried
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return packages, errors.Join(errs...)
}

// at gives file:line of a dependency, as the beginning of a message.
func (p *preparation) at(dependency int) string {
	return config.Problem{File: p.options.Config.File, Line: p.options.Config.Dependencies[dependency].Line}.String()
}

// countLayers holds the plan against the number of layers that is allowed.
func (j *Job) countLayers(mode flatten.Mode) error {
	if j.MaxLayers == 0 || len(j.Plan) <= j.MaxLayers {
		return nil
	}
	return &TooManyLayersError{Plan: j.Plan, Max: j.MaxLayers, Mode: mode}
}

// TooManyLayersError says that a plan has more layers than are allowed.
type TooManyLayersError struct {
	Plan flatten.LayerPlan
	Max  int
	// Mode is the one of the plan: All where there is no room for what an
	// automatic plan would add to the layers that are asked for.
	Mode flatten.Mode
}

func (e *TooManyLayersError) Error() string {
	return fmt.Sprintf("the image would have %d layers, and at most %d are allowed", len(e.Plan), e.Max)
}

// Doubled tells what layers that are used as they are hold for nothing.
func (j *Job) Doubled() []engine.Double { return j.modules.Doubled(j.Plan) }

// Kind tells whether the job is about buildpacks or extensions.
func (j *Job) Kind() flatten.Kind { return j.options.Config.Kind }
