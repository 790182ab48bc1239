package builder

import (
	"context"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
)

// ahead is what [Prepare] has begun to open for a target, all at once: over a network, waiting for
// one after the other takes longer than anything else. Results are used in the same order whatever
// came first, so errors and warnings do not depend on the network.
type ahead struct {
	base func() (openedBase, error)
	// rest is what is opened for the target of the build image. It has begun if the target is known
	// before the build image is; assumed is that target.
	begun   bool
	assumed flatten.Target
	rest    rest
}

// openedBase is an opened build image.
type openedBase struct {
	img     *image.Image
	modules map[flatten.Kind][]*image.Module
}

// rest are functions that wait for everything but the build image, and may be called repeatedly.
type rest struct {
	lifecycle func() (*lifecycle, error)
	sources   func() (map[flatten.Kind][]*image.Package, error)
	runImages []func() (*v1.ConfigFile, error)
	maker     func() (*engine.Maker, error)
}

// begin begins to open everything for a target, as far as that costs nothing if the build image turns
// out to be wrong: images are not pulled into the Docker daemon.
func (p *preparation) begin(ctx context.Context, target flatten.Target) *ahead {
	a := &ahead{assumed: target, begun: target.Arch != "" && !p.fromDaemon()}
	a.base = engine.Ahead(func() (b openedBase, err error) {
		b.img, b.modules, err = p.openBase(ctx, target)
		return b, err
	})
	if a.begun {
		a.rest = p.beginRest(ctx, target)
	} else if !p.fromDaemon() {
		p.prefetch(ctx)
	}
	return a
}

// prefetch begins to read the manifests of everything but the build image, for a target that is not
// known before that is open.
func (p *preparation) prefetch(ctx context.Context) {
	var all []location.Location
	for _, s := range p.sources {
		all = append(all, s.Location)
	}
	for _, r := range p.runImages {
		all = append(all, r.Location)
	}
	if at := p.options.Previous; at != nil {
		all = append(all, at.Location)
	}
	for _, loc := range all {
		go p.open.Prefetch(ctx, loc)
	}
}

// fromDaemon reports whether the Docker daemon is asked for something.
func (p *preparation) fromDaemon() bool {
	if p.open.FromDaemon {
		return true
	}
	for _, s := range p.sources {
		if s.Location.Kind == location.Daemon {
			return true
		}
	}
	return false
}

// of returns the rest for the target of the build image: what has begun, or what begins now if it was
// for another target.
func (a *ahead) of(target flatten.Target, begin func() rest) rest {
	if a.begun && a.assumed.String() == target.String() {
		return a.rest
	}
	return begin()
}

// end waits for what has begun, and may use the work directory.
func (a *ahead) end() {
	_, _ = a.base()
	if !a.begun {
		return
	}
	_, _ = a.rest.lifecycle()
	_, _ = a.rest.sources()
	for _, run := range a.rest.runImages {
		_, _ = run()
	}
}

// beginRest begins to open everything but the build image.
func (p *preparation) beginRest(ctx context.Context, target flatten.Target) rest {
	r := rest{
		sources:   engine.Ahead(func() (map[flatten.Kind][]*image.Package, error) { return p.openSources(ctx, target) }),
		lifecycle: engine.Ahead(func() (*lifecycle, error) { return p.openLifecycle(ctx, target) }),
		maker:     p.MakerAhead(ctx, p.open, target),
	}
	for _, loc := range p.runImages {
		platform := flatten.Target{OS: target.OS, Arch: target.Arch, Variant: target.Variant}
		look := func() (*v1.ConfigFile, error) { return p.open.Config(ctx, loc.Location, platform) }
		if p.open.IsRemote(loc.Location) {
			look = engine.Ahead(look)
		} else {
			look = sync.OnceValues(look) // only once it is needed: the daemon may pull it
		}
		r.runImages = append(r.runImages, look)
	}
	return r
}
