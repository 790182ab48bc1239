package packager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/source"
)

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
	o.Options = o.OrDefaults()
	sources, problems := sources(o.Config)
	_, unsupported := o.family()
	if err := errors.Join(problems.Err(), o.CheckLabels(ownLabels...), unsupported); err != nil {
		return nil, err
	}
	p := &preparation{Run: engine.NewRun(o.Options), open: open, options: o, sources: sources}
	wanted, err := p.wanted(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := p.Targets(wanted)
	if err != nil {
		return nil, err
	}
	jobs, err := engine.ForEach(targets, func(t flatten.Target) (*Job, error) { return p.job(ctx, t) })
	p.warnOffSpec(jobs)
	return jobs, err
}

// preparation is what the jobs of one run have in common.
type preparation struct {
	*engine.Run
	open    *source.Opener
	options Options
	sources []engine.Source // the root first
}

// warnOffSpec says once what the distribution spec says of shared layers.
func (p *preparation) warnOffSpec(jobs []*Job) {
	for _, j := range jobs {
		if len(j.Plan) < len(j.Expansion.Refs) {
			p.Warn("several buildpacks share a layer, as asked; the distribution spec has one layer for each in a buildpackage")
		}
	}
}

// job decides everything about the image for one target.
func (p *preparation) job(ctx context.Context, target flatten.Target) (*Job, error) {
	packages, err := engine.OpenAll(ctx, p.open, p.sources, target)
	if err != nil {
		return nil, err
	}
	j := &Job{Target: target, MaxLayers: max(p.options.MaxLayers, 0), options: p.options}
	var mixed error
	j.Target.Arch, j.Target.Variant, mixed = p.architecture(target, packages)
	all, conflicts := engine.Collect(ctx, packages, p.options.OnConflict)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	j.modules = all.Modules
	problems := append(all.Problems, p.expand(j, packages[0].Root)...)
	whole := problems.Err() == nil // else much of it would seem to be unused
	if whole {
		problems = slices.Concat(problems, p.unused(packages, j.Expansion), j.check())
	}
	for _, w := range problems.Warnings() {
		p.Warn(w.Error())
	}
	err = errors.Join(mixed, conflicts, problems.Err())
	if !whole {
		return nil, err
	}
	var wrong error
	if j.maker, wrong = p.Maker(ctx, p.open, j.Target); wrong == nil {
		wrong = j.plan(ctx, all.Packed(packages))
	}
	return j, errors.Join(err, wrong)
}

// expand finds what the root is made of.
func (p *preparation) expand(j *Job, root flatten.Ref) config.Problems {
	var found []flatten.Problem
	j.Expansion, found = j.modules.Plain().Expand(root)
	if j.Target.Arch == "" {
		j.Target.Arch = onlyArchitecture(j.plain())
	}
	if j.Kind() == flatten.Buildpack {
		j.stacks = flatten.CommonStacks(j.plain())
	}
	return append(j.modules.Problems(found), p.besides(found)...)
}

// besides hints at the package.toml that lies in the directory of a root that
// was named without it, where something is missing.
func (p *preparation) besides(found []flatten.Problem) config.Problems {
	root := p.sources[0]
	file := filepath.Join(root.Path, "package.toml")
	missing := slices.ContainsFunc(found, func(f flatten.Problem) bool { return !f.Warning })
	if p.options.Config.File != "" || root.Location.Kind != location.Path || !missing {
		return nil
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return config.Problems{{File: file, Message: "it may name what is missing; package with --config " + file}}
}

// plan decides on the layers, once the expansion is whole. An automatic plan
// has a builder's number of layers where no other is given.
func (j *Job) plan(ctx context.Context, packed [][]flatten.Ref) error {
	grouping := j.options.Grouping
	if grouping.Mode == flatten.Auto {
		j.MaxLayers = cmp.Or(j.MaxLayers, flatten.Budget(false))
	}
	var err error
	if j.Plan, grouping.Mode, err = j.maker.Plan(ctx, j.modules, j.Expansion, j.Expansion.Refs, grouping, flatten.Existing{Packed: packed}, j.MaxLayers); err != nil {
		return err
	}
	if j.MaxLayers == 0 || len(j.Plan) <= j.MaxLayers {
		return nil
	}
	excluded, err := flatten.Grouping{Exclude: grouping.Exclude}.Claimed(j.Expansion, flatten.Existing{Packed: packed})
	if err != nil {
		return err
	}
	return &TooManyLayersError{Plan: j.Plan, Max: j.MaxLayers, Mode: grouping.Mode, Excluded: len(excluded)}
}

// Outlook says what the plan means for clients that have the previous image.
func (j *Job) Outlook(ctx context.Context) (engine.Outlook, error) {
	resolved, err := j.maker.Resolve(ctx, j.modules, j.Plan)
	if err != nil {
		return engine.Outlook{}, err
	}
	return j.maker.Outlook(ctx, j.modules, resolved, nil)
}

// TooManyLayersError says that a plan has more layers than are allowed.
type TooManyLayersError struct {
	Plan flatten.LayerPlan
	Max  int
	// Mode is the one of the plan: All where there is no room for what an
	// automatic plan would add to the layers that are asked for.
	Mode flatten.Mode
	// Excluded is how many of the layers exclusions ask for.
	Excluded int
}

func (e *TooManyLayersError) Error() string {
	return fmt.Sprintf("the image would have %d layers, and at most %d are allowed", len(e.Plan), e.Max)
}

// Kind returns whether the job is about buildpacks or extensions.
func (j *Job) Kind() flatten.Kind { return j.options.Config.Kind }
