package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/gateway/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// result returns what the client asked for: the app images, or their layouts.
func (b *build) result(ctx context.Context, targets []ocispecs.Platform, builds []*appBuild) (*client.Result, error) {
	result := client.NewResult()
	add := func(i int, ref client.Reference) string {
		id := platforms.FormatAll(targets[i])
		if b.ui.MultiPlatformRequested {
			result.AddRef(id, ref)
		} else {
			result.SetRef(ref)
		}
		return id
	}
	var list exptypes.Platforms
	for _, p := range targets {
		list.Platforms = append(list.Platforms, exptypes.Platform{ID: platforms.FormatAll(p), Platform: p})
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	result.AddMeta(exptypes.ExporterPlatformsKey, raw)

	if b.args.layout {
		for i, a := range builds {
			ref, err := a.layout(ctx)
			if err != nil {
				return nil, err
			}
			add(i, ref)
		}
		return result, nil
	}
	images, err := b.images(ctx, builds)
	if err != nil {
		return nil, err
	}
	for i, img := range images {
		id := add(i, img.ref)
		key := exptypes.ExporterImageConfigKey
		if b.ui.MultiPlatformRequested {
			key += "/" + id
		}
		result.AddMeta(key, builds[i].made.raw)
		if err := b.attest(ctx, result, id, img); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// builtImage is an app image in BuildKit.
type builtImage struct {
	*appBuild
	base  llb.State // the run image, or as much of the previous image as is the same
	parts []part    // above that, from the bottom
	state llb.State
	ref   client.Reference
}

// part is some layers that follow each other.
type part struct {
	state  llb.State
	served bool // by the front end
}

// images returns the app images: the run image, and above it the layers that the lifecycle exported.
func (b *build) images(ctx context.Context, builds []*appBuild) (images []*builtImage, err error) {
	registry, err := newRegistry()
	if err != nil {
		return nil, fmt.Errorf("serving the layers: %w", err)
	}
	defer func() { err = errors.Join(err, registry.Close()) }()
	for _, a := range builds {
		img := &builtImage{appBuild: a}
		if err := img.split(ctx, registry); err != nil {
			return nil, fmt.Errorf("app image: %w", err)
		}
		images = append(images, img)
	}
	for _, img := range images {
		states := []llb.State{img.base}
		for _, p := range img.parts {
			states = append(states, p.state)
			if !p.served {
				continue
			}
			ref, err := img.solve(ctx, p.state)
			if err == nil {
				err = evaluate(ctx, ref) // while there is a registry to pull from
			}
			if err != nil {
				return nil, unreachable(registry.address, err)
			}
		}
		// Nothing, made of the build step: so the step is a part of the result, for caches that are exported
		// and for its provenance.
		states = append(states, llb.Diff(img.step, img.step, internal("make the build step a part of the result")))
		img.state = llb.Merge(states, llb.WithCustomName("add the layers of the lifecycle to "+img.run.written))
		if img.ref, err = img.solve(ctx, img.state, llb.Platform(img.platform)); err != nil {
			return nil, fmt.Errorf("app image: %w", plain(err))
		}
	}
	return images, nil
}

// split splits the layers that the lifecycle exported into those that the front end serves, and those that
// the previous image has.
func (img *builtImage) split(ctx context.Context, r *registry) error {
	layers := img.made.layers
	img.base = img.run.state(img.build)
	if n := img.common(); n > 0 {
		img.base = img.previous.below(img.build, len(img.run.config.RootFS.DiffIDs)+n)
		layers = layers[n:]
	}
	for len(layers) > 0 {
		if at := layers[0].reused; at >= 0 {
			img.parts = append(img.parts, part{state: img.previous.layer(img.build, at)})
			layers = layers[1:]
			continue
		}
		n := slices.IndexFunc(layers, func(l exportedLayer) bool { return l.reused >= 0 })
		if n < 0 {
			n = len(layers)
		}
		name, err := r.image(ctx, img.appBuild, layers[:n])
		if err != nil {
			return err
		}
		img.parts = append(img.parts, part{served: true, state: llb.Image(name, llb.Platform(img.platform), llb.ResolveModeForcePull,
			llb.WithCustomName("[internal] take the layers of the lifecycle"))})
		layers = layers[n:]
	}
	return nil
}

// common returns how many of the exported layers are in the previous image, above the same run image.
func (img *builtImage) common() (n int) {
	below := img.run.config.RootFS.DiffIDs
	if img.previous == nil || len(img.previous.config.RootFS.DiffIDs) < len(below) || !slices.Equal(img.previous.config.RootFS.DiffIDs[:len(below)], below) {
		return 0
	}
	for n < len(img.made.layers) && img.made.layers[n].reused == len(below)+n {
		n++
	}
	return n
}

// unreachable returns the error of a pull from the front end.
func unreachable(address string, err error) error {
	text := plain(err).Error()
	for _, sign := range []string{"connection refused", "connect: ", "i/o timeout", "no route"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("BuildKit cannot reach its front end on %s: they do not share a network; "+
				"run buildkitd without a network of its own for containers (as it is without CNI), or build with --build-arg output=layout --output DIRECTORY: %w", address, plain(err))
		}
	}
	return fmt.Errorf("app image: %w", plain(err))
}
