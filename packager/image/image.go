// Package image is the one read-only view of an image, wherever it was opened:
// what kind it is, its labels decoded, its layers with the refs that they hold
// and what is known of them.
//
// Opening an image reads its manifest. Config, labels and layers are decoded
// from its config, which is read by [New]. The content of a layer is read only
// through [Layer], and every blob is verified as it is read: against its digest
// and size, and what it unpacks to against its diffID and the limits.
package image

import (
	"context"
	"fmt"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// Raw is an image as a transport opens it: nothing of it is verified.
type Raw struct {
	v1.Image
	Name   string // how its user calls it, for messages
	Stored bool   // its layers are blobs of known digests
	Remote bool   // its layers come over the network
	// Saved means that the Docker daemon has just written it.
	Saved bool
	// LayoutDir is the directory of the OCI layout that it is in, or "".
	LayoutDir string
	Limits    stream.Limits
	WorkDir   string // for what has to be spooled
	Log       progress.Log
}

// Error words an error about the image.
func (r *Raw) Error(err error) error {
	if r.Remote && registry.IsNetwork(err) {
		return registry.Explain(err, r.Name)
	}
	return fmt.Errorf("%s: %w", r.Name, err)
}

// Config returns the image's config, once it is known to be small enough; its
// size is in the manifest of an image that is stored.
func (r *Raw) Config() (*v1.ConfigFile, error) {
	c, err := configOf(r.Image, r.Stored)
	if err != nil {
		return nil, r.Error(err)
	}
	return c, nil
}

func configOf(img v1.Image, stored bool) (*v1.ConfigFile, error) {
	if stored {
		m, err := img.Manifest()
		if err != nil {
			return nil, err
		}
		if m.Config.Size < 0 || m.Config.Size > registry.DocumentLimit {
			return nil, fmt.Errorf("image config has %d bytes, the limit is %d", m.Config.Size, registry.DocumentLimit)
		}
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	c, err := registry.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	return c, nil
}

// Image is an image that was opened. As a v1.Image, its layers are verified on
// every read, and can be mounted where they are in a registry.
type Image struct {
	v1.Image
	// Name is how its user calls it, for messages.
	Name   string
	Config *v1.ConfigFile
	// Target is the image's operating system, architecture and variant.
	Target flatten.Target
	// Recipes are laminate's own label, or nil.
	Recipes flatten.RecipesLabel

	ctx    context.Context
	raw    *Raw
	layers []*Layer

	mu      sync.Mutex
	modules map[flatten.Kind][]*Module
}

// New returns the view of an image. The context bounds all reading, also what
// happens later.
func New(ctx context.Context, raw Raw) (*Image, error) {
	c, err := raw.Config()
	if err != nil {
		return nil, err
	}
	i := &Image{
		Name: raw.Name, Config: c, Target: flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant},
		ctx: ctx, raw: &raw, modules: map[flatten.Kind][]*Module{},
	}
	i.Recipes = i.recipes()
	if i.layers, err = i.view(); err != nil {
		return nil, err
	}
	i.Image = &checkedImage{Image: raw.Image, layers: i.layers}
	return i, nil
}

// Kind is what an image is for.
type Kind string

// The kinds of images.
const (
	Buildpackage Kind = "buildpackage"
	Extension    Kind = "extension package"
	Builder      Kind = "builder"
	Other        Kind = "image"
)

// Kind returns what the image is for, by its labels.
func (i *Image) Kind() Kind {
	has := func(key string) bool { _, is := i.Config.Config.Labels[key]; return is }
	switch {
	case has(flatten.BuilderMetadataLabel):
		return Builder
	case has(flatten.BuildpackageMetadataLabel) && has(flatten.ExtensionLayersLabel):
		return Extension
	case has(flatten.BuildpackageMetadataLabel):
		return Buildpackage
	}
	return Other
}

// Contents returns the layers, the lowest first.
func (i *Image) Contents() []*Layer { return i.layers }

// view pairs the layers with what config and labels say of them.
func (i *Image) view() ([]*Layer, error) {
	raw, diffIDs := i.raw, i.Config.RootFS.DiffIDs
	stack, err := raw.Layers()
	if err != nil {
		return nil, raw.Error(err)
	}
	if len(stack) != len(diffIDs) {
		return nil, fmt.Errorf("%s: manifest has %d layers, config has %d diffIDs", i.Name, len(stack), len(diffIDs))
	}
	var manifest *v1.Manifest // read once: a layer that is asked for its media type parses all of it
	if raw.Stored {
		if manifest, err = raw.Manifest(); err != nil {
			return nil, raw.Error(err)
		}
		if len(manifest.Layers) != len(stack) {
			return nil, fmt.Errorf("%s: manifest has %d layers, image has %d", i.Name, len(manifest.Layers), len(stack))
		}
	}
	var layers []*Layer
	for n, r := range stack {
		l := &Layer{Layer: r, Diff: diffIDs[n], Stored: raw.Stored, image: i}
		if m, ok := r.(*remote.MountableLayer); ok {
			l.Layer, l.Mountable = m.Layer, m.Reference
		}
		if raw.Stored {
			if l.Compression, err = compressionOf(manifest.Layers[n].MediaType); err != nil {
				return nil, fmt.Errorf("%s: layer %d: %w", i.Name, n+1, err)
			}
		}
		l.Facts = i.Recipes.Facts(l.Diff)
		layers = append(layers, l)
	}
	return layers, nil
}

// recipes reads laminate's own label. One that cannot be read is ignored.
func (i *Image) recipes() flatten.RecipesLabel {
	value, labelled := i.Config.Config.Labels[flatten.RecipesLabelKey]
	if !labelled {
		return nil
	}
	l, err := flatten.ParseRecipesLabel(value)
	if err != nil {
		i.raw.Log.Warn(fmt.Sprintf("%s: %v; ignored", i.Name, err))
		return nil
	}
	return l
}

// checkedImage puts verified layers in the place of the image's own.
type checkedImage struct {
	v1.Image
	layers []*Layer
}

func (c *checkedImage) Layers() ([]v1.Layer, error) {
	layers := make([]v1.Layer, len(c.layers))
	for i, l := range c.layers {
		layers[i] = l.Reuse()
	}
	return layers, nil
}

func (c *checkedImage) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	for _, l := range c.layers {
		if l.Diff == h {
			return l.Reuse(), nil
		}
	}
	return nil, fmt.Errorf("layer with diffID %s: not in the image", h)
}

func (c *checkedImage) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	for _, l := range c.layers {
		d, err := l.Digest()
		if err != nil {
			return nil, err
		}
		if d == h {
			return l.Reuse(), nil
		}
	}
	return c.Image.LayerByDigest(h) // the config, or nothing
}
