package relayer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// Options are the options of [Prepare]. MaxLayers is at most [flatten.EngineLimit]; 0 means the
// budget of a builder, and no other limit for a buildpackage. The default media types and the
// default compression are those of the image. Created and OnConflict have no effect.
type Options struct {
	engine.Options
	// Afresh plans without regard to clients that have the image already.
	Afresh bool
}

// Job is a planned image, ready to be built.
type Job struct {
	Target    flatten.Target
	Expansion flatten.Expansion
	// Plan are the layers of buildpacks.
	Plan flatten.LayerPlan
	// Others is the number of other layers, and Budget the most layers; 0 means no limit.
	Others, Budget int

	image   *image.Image
	modules engine.Modules
	old     []*image.Layer // with buildpacks, lowest first
	options Options
	maker   *engine.Maker
}

// Layers returns the number of layers of the image.
func (j *Job) Layers() int { return j.Others + len(j.Plan) }

// IsBuildpackage reports whether the image is a buildpackage, and not a builder.
func (j *Job) IsBuildpackage() bool { return j.image.Kind() == image.Buildpackage }

// Prepare opens the images at a location, for the targets in the options or for all platforms, and
// plans their layers. They must be buildpackages or builders with valid labels. The opener's work
// directory must stay as long as the jobs are in use. Warnings go to the log.
func Prepare(ctx context.Context, open *source.Opener, from location.Location, o Options) ([]*Job, error) {
	if err := o.CheckLabels(ownLabels...); err != nil {
		return nil, err
	}
	images, err := openImages(ctx, open, from, o.Targets)
	if err != nil {
		return nil, err
	}
	if o.Compression == layer.Uncompressed {
		o.Compression = compressionOf(images)
	}
	o.Options = o.OrDefaults()
	p := &preparation{Run: engine.NewRun(o.Options), open: open, options: o}
	var targets []flatten.Target
	for _, img := range images {
		targets = append(targets, targetOf(img))
	}
	if err := checkTargets(targets); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	fitting, err := p.Targets(targets)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return engine.ForEach(fitting, func(t flatten.Target) (*Job, error) {
		i := slices.IndexFunc(targets, func(o flatten.Target) bool { return o.String() == t.String() })
		return p.job(ctx, images[i], t)
	})
}

// preparation is the common state of the jobs of a run.
type preparation struct {
	*engine.Run
	open    *source.Opener
	options Options
}

// openImages opens the images for the targets or, without targets, for all platforms.
func openImages(ctx context.Context, open *source.Opener, from location.Location, targets []flatten.Target) ([]*image.Image, error) {
	if len(targets) == 0 {
		targets = []flatten.Target{{}}
	}
	var images []*image.Image
	for _, t := range targets {
		found, err := open.Platforms(ctx, from, t)
		if err != nil {
			return nil, err
		}
		images = append(images, found.Images...)
	}
	return images, nil
}

// checkTargets returns an error for images that are not for linux, and for several for one platform.
func checkTargets(targets []flatten.Target) error {
	var others, fit []flatten.Target
	for _, t := range targets {
		switch {
		case t.OS != "linux":
			others = append(others, t)
		case slices.ContainsFunc(fit, func(o flatten.Target) bool { return o.String() == t.String() }):
			return fmt.Errorf("the configs of several images say %s; choose one with --target", t)
		default:
			fit = append(fit, t)
		}
	}
	switch {
	case len(others) == 0:
		return nil
	case len(fit) == 0:
		return fmt.Errorf("unsupported platform %s; laminate makes images for linux only", engine.TargetList(others))
	}
	return fmt.Errorf("unsupported platform %s; choose the others with --target %s", engine.TargetList(others), strings.ReplaceAll(engine.TargetList(fit), ", ", " --target "))
}

// targetOf returns the target of an image. Images for several versions of a distribution differ in
// the os.version of their config.
func targetOf(img *image.Image) flatten.Target {
	t := img.Target
	if version := img.Config.OSVersion; version != "" {
		t.Distros = []flatten.Distro{{Name: img.Config.Config.Labels[flatten.DistroNameLabel], Version: version}}
	}
	return t
}

// compressionOf returns the compression of most layers with buildpacks.
func compressionOf(images []*image.Image) layer.Compression {
	zstd := 0
	for _, img := range images {
		for _, l := range img.Contents() {
			switch l.Compression {
			case layer.Zstd:
				zstd++
			case layer.Gzip:
				zstd--
			}
		}
	}
	if zstd > 0 {
		return layer.Zstd
	}
	return layer.Gzip
}

// job plans the layers of one image.
func (p *preparation) job(ctx context.Context, img *image.Image, target flatten.Target) (*Job, error) {
	j := &Job{Target: target, image: img, options: p.options}
	if kind := img.Kind(); kind != image.Buildpackage && kind != image.Builder {
		return nil, fmt.Errorf("%s: neither a builder nor a buildpackage; only their layers can be changed", img.Name)
	}
	if err := j.read(); err != nil {
		return nil, err
	}
	labels, errLabels := img.BuilderLabels()
	problems, errOrders := j.expand(labels)
	if err := errors.Join(errLabels, errOrders); err != nil {
		return nil, err
	}
	for _, w := range j.modules.Problems(problems) {
		p.Warn(w.Error()) // the image has them already
	}
	var err error
	if j.maker, err = p.Maker(ctx, p.open, target); err != nil {
		return nil, err
	}
	if !p.options.Afresh {
		if err := j.maker.Follow(img); err != nil {
			return nil, err
		}
	}
	return j, j.plan(ctx, !labels.System.Empty())
}

// read lists the modules and the layers that hold them.
func (j *Job) read() error {
	j.modules = engine.Modules{}
	for _, kind := range []flatten.Kind{flatten.Extension, flatten.Buildpack} {
		modules, err := j.image.Modules(kind)
		if err != nil {
			return err
		}
		holders, err := j.image.Holders(kind)
		if err != nil {
			return err
		}
		if kind == flatten.Extension {
			j.old = holders
			continue
		}
		for i, l := range holders {
			if slices.Contains(j.old, l) {
				return fmt.Errorf("%s: layer %d holds buildpacks and extensions, which is unsupported", j.image.Name, i+1)
			}
		}
		j.old = holders
		for _, m := range modules {
			j.modules[m.Ref()] = m
		}
	}
	if len(j.modules) == 0 {
		return fmt.Errorf("%s: no buildpacks", j.image.Name)
	}
	return nil
}

// expand expands the orders of the image. Modules that no order reaches follow.
func (j *Job) expand(labels *image.BuilderLabels) (problems []flatten.Problem, err error) {
	modules := j.modules.Plain()
	if j.IsBuildpackage() {
		p, err := j.image.Package(flatten.Buildpack)
		if err != nil {
			return nil, err
		}
		j.Expansion, problems = modules.Expand(p.Root)
	} else {
		top, _ := modules.TopLevel(labels.Entries())
		j.Expansion, problems = modules.ExpandAll(top)
	}
	rest := modules
	for _, r := range j.Expansion.Refs {
		delete(rest, r)
	}
	top, _ := rest.TopLevel(nil)
	more, _ := rest.ExpandAll(top)
	if len(more.Refs) < len(rest) || j.Expansion.Owners == nil {
		return nil, errors.Join(j.cycles(problems)...)
	}
	for _, r := range more.Refs {
		j.Expansion.Refs = append(j.Expansion.Refs, r)
		j.Expansion.Owners[r] = more.Owners[r]
	}
	j.Expansion.TopLevel = append(j.Expansion.TopLevel, more.TopLevel...)
	return problems, nil
}

// cycles returns the errors of orders that cannot be expanded.
func (j *Job) cycles(problems []flatten.Problem) []error {
	errs := []error{fmt.Errorf("%s: the orders cannot be expanded; see: laminate verify", j.image.Name)}
	for _, p := range j.modules.Problems(problems) {
		errs = append(errs, p)
	}
	return errs
}
