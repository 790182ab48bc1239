package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// Job is a planned and checked builder, ready to be built.
type Job struct {
	// Target is the builder's platform.
	Target    flatten.Target
	Expansion flatten.Expansion
	// Plan are the layers of buildpacks, Extensions those of extensions, without those of the build
	// image.
	Plan       flatten.LayerPlan
	Extensions flatten.LayerPlan
	Layers     Count
	// Overridden are the modules of the build image that are replaced.
	Overridden []flatten.Ref

	contents
	maker *engine.Maker
}

// contents are what a builder consists of, before its layers are planned.
type contents struct {
	options    Options
	target     flatten.Target
	base       base
	lifecycle  *lifecycle
	packages   []*image.Package                // all sources, in their order
	modules    map[flatten.Kind]engine.Modules // including those of the build image
	added      map[flatten.Kind][]flatten.Ref  // without those of the build image
	packed     [][]flatten.Ref                 // refs of each layer of the sources
	expansion  flatten.Expansion
	order      orders         // with versions
	system     flatten.System // likewise
	overridden []flatten.Ref
	whiteouts  []string // names of entries
}

// Prepare opens the build image, the lifecycle and the sources, for each
// target on its own, and decides what the builders will be. Sources must be
// opened with an opener whose work directory stays as long as the jobs are in
// use. Warnings go to the log; what is wrong with the input is returned all at
// once.
func Prepare(ctx context.Context, open *source.Opener, o Options) ([]*Job, error) {
	o = o.orDefaults()
	p := &preparation{Run: engine.NewRun(o.Options), open: open, options: o}
	if err := errors.Join(p.locations().Err(), o.CheckLabels(ownLabels...)); err != nil {
		return nil, err
	}
	wanted := o.Targets
	if len(wanted) == 0 {
		wanted = o.Config.Targets
	}
	if len(wanted) == 0 {
		wanted = []flatten.Target{{OS: "linux"}} // and the build image's architecture
	}
	targets, err := p.Targets(wanted)
	if err != nil {
		return nil, err
	}
	ctx, p.stop = context.WithCancelCause(ctx)
	begun := map[string]*ahead{}
	for _, t := range targets {
		begun[t.String()] = p.begin(ctx, t)
	}
	jobs, err := engine.ForEach(targets, func(t flatten.Target) (*Job, error) { return p.job(ctx, t, begun[t.String()]) })
	if err != nil {
		p.stop(err)
		for _, a := range begun {
			a.end()
		}
	}
	return jobs, err
}

// Sources returns what the builder is made of: the build image, the lifecycle, and the buildpacks and
// extensions in the order of builder.toml. Run images are not among them: a builder only names them.
func (j *Job) Sources(ctx context.Context) ([]engine.Used, error) {
	base, err := engine.UsedImage(j.base.Image)
	if err != nil {
		return nil, err
	}
	packages, err := j.maker.UsedPackages(ctx, j.packages)
	return append([]engine.Used{base, {Name: j.lifecycle.name, Digest: j.lifecycle.diffID, OfContent: true}}, packages...), err
}

// preparation is the common state of the jobs of a run.
type preparation struct {
	*engine.Run
	open       *source.Opener
	options    Options
	buildImage location.Location
	sources    []engine.Source // of buildpacks, and then of extensions
	runImages  []runImage
	// stop ends what was begun, after an error; otherwise images are read until they are written.
	stop context.CancelCauseFunc
}

// runImage is the location of a run image, or of a mirror of it, with its index.
type runImage struct {
	location.Location
	index int
}

// locations parses all locations in builder.toml, except that of the lifecycle, which depends on
// the target.
func (p *preparation) locations() config.Problems {
	c := p.options.Config
	var problems config.Problems
	found := func(loc location.Location, err error, path ...any) location.Location {
		if err != nil {
			problems = append(problems, c.Problem(err.Error(), path...))
		}
		return loc
	}
	loc, err := location.ParseListed(c.BuildImage, c.Dir)
	p.buildImage = found(loc, err, c.BuildImagePath()...)
	for _, kind := range kinds {
		for i, s := range listed(c, kind) {
			table := string(kind) + "s"
			loc, key, err := engine.Locate(s.URI, s.Image, c.Dir)
			loc = found(loc, err, table, i, key)
			p.sources = append(p.sources, engine.Source{Location: loc, Kind: kind, At: p.at("", table, i)})
		}
	}
	if !p.options.SkipRunImages {
		for i, r := range c.RunImages {
			for _, ref := range append([]string{r.Image}, r.Mirrors...) {
				loc, err := location.ListedImage(ref, c.Dir)
				p.runImages = append(p.runImages, runImage{found(loc, err, c.RunImagePath(i)...), i})
			}
		}
	}
	return problems.InOrder()
}

// listed returns the sources of a kind in builder.toml.
func listed(c config.Builder, kind flatten.Kind) []config.BuilderSource {
	if kind == flatten.Extension {
		return c.Extensions
	}
	return c.Buildpacks
}

// job decides everything about the builder for one target.
func (p *preparation) job(ctx context.Context, target flatten.Target, begun *ahead) (*Job, error) {
	base, err := begun.base()
	if err != nil {
		return nil, err
	}
	c := &contents{options: p.options, target: base.img.Target}
	c.target.Distros = target.Distros
	opened := begun.of(c.target, func() rest { return p.beginRest(ctx, c.target) })
	var errBase, errLifecycle error
	c.base, errBase = readBase(base.img, base.modules)
	c.lifecycle, errLifecycle = opened.lifecycle()
	packages, errSources := opened.sources()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := errors.Join(errBase, errLifecycle, errSources); err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		c.packages = append(c.packages, packages[kind]...)
	}
	if err := p.decide(ctx, c, packages, opened); err != nil {
		return nil, err
	}
	maker, err := opened.maker()
	if err != nil {
		return nil, err
	}
	return c.plan(ctx, maker)
}

// decide expands and checks, once everything is open.
func (p *preparation) decide(ctx context.Context, c *contents, packages map[flatten.Kind][]*image.Package, opened rest) error {
	problems, conflicts := c.collect(ctx, packages)
	problems = append(problems, p.contradictions(packages)...)
	problems = append(problems, c.expand(packages)...)
	if problems.Err() == nil {
		problems = append(problems, c.check()...)
		problems = append(problems, p.checkRunImages(opened)...)
	}
	for _, w := range problems.Warnings() {
		p.Warn(w.Error())
	}
	_, unsupported := c.family()
	if err := errors.Join(conflicts, problems.Err(), unsupported); err != nil {
		return err
	}
	return c.override(ctx)
}

// at returns a place in builder.toml, with the words before each error there.
func (p *preparation) at(words string, path ...any) config.Problem {
	return p.options.Config.Problem(words, path...)
}

// openSources opens all sources in builder.toml.
func (p *preparation) openSources(ctx context.Context, target flatten.Target) (map[flatten.Kind][]*image.Package, error) {
	opened, err := engine.OpenAll(ctx, p.open, p.sources, target)
	packages := map[flatten.Kind][]*image.Package{}
	for i, pkg := range opened {
		packages[p.sources[i].Kind] = append(packages[p.sources[i].Kind], pkg)
	}
	return packages, err
}

// openLifecycle opens the lifecycle for a target: from the options, builder.toml, or the default
// version, in this order.
func (p *preparation) openLifecycle(ctx context.Context, target flatten.Target) (*lifecycle, error) {
	from, base, version, place := p.options.Lifecycle, "", "", config.Problem{Message: "lifecycle "}
	if from == "" {
		from, base, place = p.options.Config.Lifecycle.URI, p.options.Config.Dir, p.at(place.Message, "lifecycle")
	} else if config.IsSemver(from) {
		from, version = "", from
	}
	if from == "" {
		version = cmp.Or(version, p.options.Config.Lifecycle.Version, config.DefaultLifecycle)
		var err error
		if from, err = lifecycleURL(p.options.LifecycleURL, version, target.Arch); err != nil {
			return nil, err
		}
	}
	loc, err := location.ParseSource(from, base)
	if err != nil {
		return nil, engine.WithPlace(place, err)
	}
	tars, err := p.open.Tars(ctx, loc, target, isOfLifecycle)
	if err != nil && version != "" {
		err = fmt.Errorf("%w; download it and pass it with --lifecycle FILE, or set LAMINATE_LIFECYCLE_URL to a mirror", err)
	}
	if err != nil {
		return nil, engine.WithPlace(place, err)
	}
	place.Message += loc.String() + ": "
	l, err := openLifecycle(ctx, loc.String(), tars, target.Arch)
	if err == nil && version != "" && strings.TrimPrefix(l.Version, "v") != strings.TrimPrefix(version, "v") {
		err = fmt.Errorf("version is %s, expected %s", l.Version, version)
	}
	return l, engine.WithPlace(place, err)
}
