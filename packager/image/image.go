// Package image is the read-only view of an opened image from any source: its kind, its decoded
// labels, and its layers with the refs that they hold.
//
// Opening an image reads its manifest; [New] reads its config, with labels and diffIDs. The content
// of a layer is read through [Layer] only, and verified while it is read: the blob against digest
// and size, the tar against diffID and limits.
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

// Raw is an unverified image, as a transport opens it.
type Raw struct {
	v1.Image
	Name   string // its name as the user wrote it, for messages
	Stored bool   // layers are blobs of known digests
	Remote bool   // layers come over the network
	// Repository is the repository in a registry, with its host, or "".
	Repository string
	// Saved means that this run exported the image from the Docker daemon.
	Saved bool
	// LayoutDir is the directory of its OCI layout, or "".
	LayoutDir string
	Limits    stream.Limits
	WorkDir   string // for spools
	Log       progress.Log
}

// Error adds the name of the image to an error.
func (r *Raw) Error(err error) error {
	if r.Remote && registry.IsNetwork(err) {
		return registry.Explain(err, r.Name)
	}
	return fmt.Errorf("%s: %w", r.Name, err)
}

// Config returns the image's config. It refuses one that is too large, before reading it if the
// image is stored.
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

// Image is an opened image. As a v1.Image, its layers are verified on every read, and mountable if
// they are in a registry.
type Image struct {
	v1.Image
	// Name is the image's name as the user wrote it, for messages.
	Name   string
	Config *v1.ConfigFile
	// Target is the image's operating system, architecture and variant.
	Target flatten.Target
	// Recipes is laminate's own label, or nil.
	Recipes flatten.RecipesLabel

	ctx    context.Context
	raw    *Raw
	layers []*Layer

	mu       sync.Mutex
	listings map[flatten.Kind]listing
}

// New returns the view of an image. All reading ends with ctx, including later reads of layers.
func New(ctx context.Context, raw Raw) (*Image, error) {
	c, err := raw.Config()
	if err != nil {
		return nil, err
	}
	i := &Image{
		Name: raw.Name, Config: c, Target: flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant},
		ctx: ctx, raw: &raw, listings: map[flatten.Kind]listing{},
	}
	i.Recipes = i.recipes()
	if i.layers, err = i.view(); err != nil {
		return nil, err
	}
	i.Image = &checkedImage{Image: raw.Image, layers: i.layers}
	return i, nil
}

// Kind is the kind of an image.
type Kind string

// The kinds of images.
const (
	Buildpackage Kind = "buildpackage"
	Extension    Kind = "extension package"
	Builder      Kind = "builder"
	App          Kind = "app image"
	Other        Kind = "image"
)

// Indefinite returns the kind with its article, for messages.
func (k Kind) Indefinite() string {
	if k == Buildpackage || k == Builder {
		return "a " + string(k)
	}
	return "an " + string(k)
}

// Kind returns the kind of the image, by its labels.
func (i *Image) Kind() Kind {
	has := func(key string) bool { _, is := i.Config.Config.Labels[key]; return is }
	switch {
	case has(flatten.BuilderMetadataLabel):
		return Builder
	case has(flatten.BuildpackageMetadataLabel) && has(flatten.ExtensionLayersLabel):
		return Extension
	case has(flatten.BuildpackageMetadataLabel):
		return Buildpackage
	case has(flatten.AppLayersLabel):
		return App
	}
	return Other
}

// Stored reports whether the source holds the image as blobs of known digests. If not (Docker
// archives and the daemon), the digest of the manifest is not known without compressing all layers.
func (i *Image) Stored() bool { return i.raw.Stored }

// Repository returns the repository that the image was opened from, with its registry, or "" if it is
// not in a registry.
func (i *Image) Repository() string { return i.raw.Repository }

// Contents returns the layers, lowest first.
func (i *Image) Contents() []*Layer { return i.layers }

// view combines the layers with config and labels.
func (i *Image) view() ([]*Layer, error) {
	raw, diffIDs := i.raw, i.Config.RootFS.DiffIDs
	stack, err := raw.Layers()
	if err != nil {
		return nil, raw.Error(err)
	}
	if len(stack) != len(diffIDs) {
		return nil, fmt.Errorf("%s: manifest has %d layers, config has %d diffIDs", i.Name, len(stack), len(diffIDs))
	}
	var manifest *v1.Manifest // read once: each layer would parse it again for its media type
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
			l.descriptor = manifest.Layers[n]
			if l.Compression, err = compressionOf(l.descriptor.MediaType); err != nil {
				return nil, fmt.Errorf("%s: layer %d: %w", i.Name, n+1, err)
			}
		}
		l.Facts = i.Recipes.Facts(l.Diff)
		layers = append(layers, l)
	}
	return layers, nil
}

// recipes reads laminate's own label. It ignores an invalid one, with a warning.
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

// checkedImage is an image with verified layers.
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
	return c.Image.LayerByDigest(h) // the config, or an error
}
