package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/source"
)

// openJobs is how many sources are opened at once.
const openJobs = 4

// Job is one builder to be made: everything about it is decided and checked.
type Job struct {
	// Target is the builder's platform.
	Target    flatten.Target
	Expansion flatten.Expansion
	// Plan are the layers of buildpacks, Extensions those of extensions, all
	// that do not come with the build image.
	Plan       flatten.LayerPlan
	Extensions flatten.LayerPlan
	Layers     Count
	// Overridden are modules of the build image whose content is replaced.
	Overridden []flatten.Ref

	base      base
	lifecycle *lifecycle
	modules   map[flatten.Kind]engine.Modules // with those of the build image
	added     map[flatten.Kind][]flatten.Ref  // not those of the build image
	packed    [][]flatten.Ref                 // the refs of each layer that a source has
	order     orders                          // every entry with its version
	system    config.System                   // likewise
	whiteouts []string                        // names of entries
	options   Options
	maker     *engine.Maker
}

// Prepare opens the build image, the lifecycle and the sources, for each
// target on its own, and decides what the builders will be. Sources must be
// opened with an opener whose work directory stays as long as the jobs are in
// use. Warnings go to the log; what is wrong with the input is returned all at
// once.
func Prepare(ctx context.Context, open *source.Opener, o Options) ([]*Job, error) {
	p := &preparation{open: open, options: o.orDefaults(), warned: map[string]bool{}}
	p.maker = engine.NewMaker(p.options.WorkDir, p.options.Compression, p.options.Cache, p.options.Log)
	if err := errors.Join(p.locations().Err(), p.options.checkLabels()); err != nil {
		return nil, err
	}
	targets, err := p.targets()
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
	return jobs, nil
}

// preparation is what the jobs of one run have in common.
type preparation struct {
	open       *source.Opener
	options    Options
	maker      *engine.Maker
	warned     map[string]bool
	buildImage location.Location
	sources    map[flatten.Kind][]location.Location
	runImages  []runImage
}

// runImage is where a run image or a mirror of it is, and which one it is of.
type runImage struct {
	location.Location
	index int
}

func (p *preparation) warn(message string) {
	if !p.warned[message] {
		p.warned[message] = true
		p.options.Log.Warn(message)
	}
}

// locations reads where everything is that builder.toml names, but for the
// lifecycle, whose place depends on the target.
func (p *preparation) locations() config.Problems {
	c := p.options.Config
	var problems config.Problems
	parse := func(written string, isImage bool, path ...any) location.Location {
		read := location.ParseListed
		if isImage {
			read = location.ListedImage
		}
		loc, err := read(written, c.Dir)
		if err != nil {
			problems = append(problems, c.Problem(err.Error(), path...))
		}
		return loc
	}
	p.buildImage = parse(c.BuildImage, false, c.BuildImagePath()...)
	p.sources = map[flatten.Kind][]location.Location{}
	for kind, list := range map[flatten.Kind][]config.BuilderSource{flatten.Buildpack: c.Buildpacks, flatten.Extension: c.Extensions} {
		for i, s := range list {
			written, key := s.URI, "uri"
			if written == "" {
				written, key = s.Image, "image"
			}
			p.sources[kind] = append(p.sources[kind], parse(written, key == "image", string(kind)+"s", i, key))
		}
	}
	if !p.options.SkipRunImages {
		for i, r := range c.RunImages {
			for _, ref := range append([]string{r.Image}, r.Mirrors...) {
				p.runImages = append(p.runImages, runImage{parse(ref, true, c.RunImagePath(i)...), i})
			}
		}
	}
	return problems.InOrder()
}

// targets decides which builders are made: those of the options, else those of
// builder.toml, else the one that the build image is for.
func (p *preparation) targets() ([]flatten.Target, error) {
	targets := p.options.Targets
	if len(targets) == 0 {
		targets = p.options.Config.Targets
	}
	if len(targets) == 0 {
		targets = []flatten.Target{{OS: "linux"}}
	}
	var each, fitting []flatten.Target
	for _, t := range targets {
		if t.OS != "linux" {
			return nil, fmt.Errorf("target %s: laminate makes builders for linux only; write linux/amd64 or the like", t)
		}
		each = append(each, t.PerDistro()...)
	}
	for _, t := range each {
		if p.options.Fits == nil || p.options.Fits(t) {
			fitting = append(fitting, t)
		}
	}
	if len(fitting) == 0 {
		var names []string
		for _, t := range each {
			names = append(names, t.String())
		}
		return nil, fmt.Errorf("none of the targets %s is what the destination takes", strings.Join(names, ", "))
	}
	return fitting, nil
}

// job decides everything about the builder for one target.
func (p *preparation) job(ctx context.Context, target flatten.Target) (*Job, error) {
	img, err := p.open.Base(ctx, p.buildImage, target)
	if err != nil {
		return nil, engine.Prefixed(p.at("build image ", p.options.Config.BuildImagePath()...), err)
	}
	j := &Job{options: p.options, maker: p.maker, Target: img.Target}
	j.Target.Distros = target.Distros
	var errBase, errLifecycle error
	j.base, errBase = readBase(img)
	j.lifecycle, errLifecycle = p.openLifecycle(ctx, j.Target)
	packages, errSources := p.openSources(ctx, j.Target)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := errors.Join(errBase, errLifecycle, errSources); err != nil {
		return nil, err
	}
	return j, p.decide(ctx, j, packages)
}

// decide expands, checks and plans, once everything is open.
func (p *preparation) decide(ctx context.Context, j *Job, packages map[flatten.Kind][]*source.Package) error {
	problems, conflicts := j.collect(ctx, packages)
	problems = append(problems, p.contradictions(packages)...)
	problems = append(problems, j.expand(packages)...)
	whole := problems.Err() == nil
	if whole {
		problems = append(problems, j.check()...)
		problems = append(problems, p.checkRunImages(ctx, j)...)
	}
	for _, w := range problems.Warnings() {
		p.warn(w.String())
	}
	_, unsupported := j.family()
	err := errors.Join(conflicts, problems.Err(), unsupported)
	if err != nil || !whole {
		return err
	}
	if err := j.override(ctx); err != nil {
		return err
	}
	if j.maker, err = p.maker.Follow(ctx, p.open, p.options.Previous, j.Target); err != nil {
		return err
	}
	return j.plan(ctx)
}

// at gives a message's beginning: the place in builder.toml, and some words.
func (p *preparation) at(words string, path ...any) string {
	return p.options.Config.Problem(words, path...).String()
}

// openSources opens everything that builder.toml lists.
func (p *preparation) openSources(ctx context.Context, target flatten.Target) (map[flatten.Kind][]*source.Package, error) {
	packages := map[flatten.Kind][]*source.Package{}
	var errs []error
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		locs := p.sources[kind]
		opened, failed := make([]*source.Package, len(locs)), make([]error, len(locs))
		var group errgroup.Group
		group.SetLimit(openJobs)
		for i, loc := range locs {
			group.Go(func() error {
				var err error
				if opened[i], err = p.open.Package(ctx, loc, kind, target); err != nil {
					failed[i] = engine.Prefixed(p.at("", string(kind)+"s", i), err)
				}
				return nil // all of them are tried
			})
		}
		_ = group.Wait()
		packages[kind] = opened
		errs = append(errs, failed...)
	}
	return packages, errors.Join(errs...)
}

// openLifecycle opens the lifecycle for a target: that of the options, else
// that of builder.toml, else the default version.
func (p *preparation) openLifecycle(ctx context.Context, target flatten.Target) (*lifecycle, error) {
	from, base, words := p.options.Lifecycle, "", "lifecycle "
	if from == "" {
		from, base, words = p.options.Config.Lifecycle.URI, p.options.Config.Dir, p.at(words, "lifecycle")
	}
	version := ""
	if from == "" {
		version = cmp.Or(p.options.Config.Lifecycle.Version, config.DefaultLifecycle)
		var err error
		if from, err = lifecycleURL(p.options.LifecycleURL, version, target.Arch); err != nil {
			return nil, err
		}
	}
	loc, err := location.ParseSource(from, base)
	if err != nil {
		return nil, fmt.Errorf("%s%w", words, err)
	}
	tars, err := p.open.Tars(ctx, loc, target, isOfLifecycle)
	if err != nil && version != "" {
		err = fmt.Errorf("%w; --lifecycle FILE takes one from elsewhere, and LAMINATE_LIFECYCLE_URL names a mirror", err)
	}
	if err != nil {
		return nil, engine.Prefixed(words, err)
	}
	l, err := openLifecycle(ctx, loc.String(), tars, target.Arch)
	if err == nil && version != "" && strings.TrimPrefix(l.Version, "v") != strings.TrimPrefix(version, "v") {
		err = fmt.Errorf("it is version %s, and %s is wanted", l.Version, version)
	}
	return l, engine.Prefixed(words+loc.String()+": ", err)
}
