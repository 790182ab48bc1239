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
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// Job is a planned and checked image, ready to be built.
type Job struct {
	// Target is the image's platform.
	Target    flatten.Target
	Expansion flatten.Expansion
	Plan      flatten.LayerPlan
	// MaxLayers is the most layers of the image; 0 means no limit.
	MaxLayers int

	packages []*image.Package
	modules  engine.Modules
	stacks   []flatten.Stack
	options  Options
	maker    *engine.Maker
}

// Sources returns what the image is made of: the root, then the dependencies in the order of
// package.toml.
func (j *Job) Sources(ctx context.Context) ([]engine.Used, error) {
	return j.maker.UsedPackages(ctx, j.packages)
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

// preparation is the common state of the jobs of a run.
type preparation struct {
	*engine.Run
	open    *source.Opener
	options Options
	sources []engine.Source // the root first
}

// warnOffSpec warns once that the distribution spec has no shared layers in buildpackages.
func (p *preparation) warnOffSpec(jobs []*Job) {
	for _, j := range jobs {
		if len(j.Plan) < len(j.Expansion.Refs) {
			p.Warn("several buildpacks share a layer; the distribution spec asks for one layer per buildpack in a buildpackage")
		}
	}
}

// job decides everything about the image for one target.
func (p *preparation) job(ctx context.Context, target flatten.Target) (*Job, error) {
	var maker func() (*engine.Maker, error)
	if target.Arch != "" {
		maker = p.MakerAhead(ctx, p.open, target)
	} else if at := p.options.Previous; at != nil { // the sources decide what it is for
		go p.open.Prefetch(ctx, at.Location)
	}
	packages, err := engine.OpenAll(ctx, p.open, p.sources, target)
	if err != nil {
		return nil, err
	}
	j := &Job{Target: target, MaxLayers: max(p.options.MaxLayers, 0), options: p.options, packages: packages}
	var mixed error
	j.Target.Arch, j.Target.Variant, mixed = p.architecture(target, packages)
	all, conflicts := engine.Collect(ctx, packages, p.options.OnConflict)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	j.modules = all.Modules
	problems := append(all.Problems, p.expand(j, packages[0].Root)...)
	whole := problems.Err() == nil // otherwise too much would be reported as unused
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
	if maker == nil {
		maker = p.MakerAhead(ctx, p.open, j.Target)
	}
	var wrong error
	if j.maker, wrong = maker(); wrong == nil {
		wrong = j.plan(ctx, all.Packed(packages))
	}
	return j, errors.Join(err, wrong)
}

// expand expands the root.
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

// besides returns a hint at the package.toml beside a root that was packaged without it, if
// buildpacks are missing.
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
	return config.Problems{{File: file, Message: "it may list the missing buildpacks; package with --config " + file}}
}

// plan plans the layers of a complete expansion. The default budget of an automatic plan is that of
// a builder.
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

// Outlook returns the effect of the plan on clients with the previous image.
func (j *Job) Outlook(ctx context.Context) (engine.Outlook, error) {
	resolved, err := j.maker.Resolve(ctx, j.modules, j.Plan)
	if err != nil {
		return engine.Outlook{}, err
	}
	return j.maker.Outlook(ctx, j.modules, resolved, nil)
}

// TooManyLayersError reports that a plan exceeds the limit of layers.
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
	return fmt.Sprintf("too many layers: %d, the limit is %d", len(e.Plan), e.Max)
}

// Kind returns the kind of the package: buildpack or extension.
func (j *Job) Kind() flatten.Kind { return j.options.Config.Kind }
