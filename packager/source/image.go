package source

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// image is an image that was opened, wherever it lies.
type image struct {
	v1.Image
	ctx    context.Context
	name   string // for messages
	stored bool   // its layers are blobs of a known digest
	remote bool   // its layers come over the network
	// saved tells that the Docker daemon has just written it.
	saved bool
	// layoutDir is the OCI layout that it is in, "" where it is in none.
	layoutDir string

	registryOptions registry.Options
	puller          *remote.Puller // of its repository; nil where nobody logged in yet
	limits          Limits
	workDir         string
	log             progress.Log
}

// IsTimeout reports whether opening an image failed because its registry did not
// answer in time.
func IsTimeout(err error) bool { return registry.IsTimeout(err) }

// config returns the image's config, once it is known to be small enough.
func (i *image) config() (*v1.ConfigFile, error) {
	c, err := configOf(i.Image, i.stored)
	if err != nil {
		return nil, i.wrong(err)
	}
	return c, nil
}

// configOf returns the config of an image, once it is known to be small
// enough; its size is in the manifest of one that is stored.
func configOf(img v1.Image, stored bool) (*v1.ConfigFile, error) {
	if stored {
		m, err := img.Manifest()
		if err != nil {
			return nil, err
		}
		if m.Config.Size < 0 || m.Config.Size > documentLimit {
			return nil, fmt.Errorf("config of the image has %d bytes, more than the limit of %d", m.Config.Size, documentLimit)
		}
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	c, err := registry.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("config of the image: %w", err)
	}
	return c, nil
}

// wrong tells what is wrong with the image.
func (i *image) wrong(err error) error {
	if i.remote && registry.IsNetwork(err) {
		return registry.Explain(err, i.name)
	}
	return fmt.Errorf("%s: %w", i.name, err)
}

// checkTarget reports where the image is for another platform than is wanted.
func (i *image) checkTarget(want flatten.Target) error {
	c, err := i.config()
	if err != nil {
		return err
	}
	return platformOf(i.name, c, want)
}

// platformOf reports where the config of an image is not for a platform.
func platformOf(name string, c *v1.ConfigFile, want flatten.Target) error {
	if c.OS == "windows" {
		return fmt.Errorf("%s: it is for windows, which is not supported; use its linux variant", name)
	}
	if !platformFits(v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}, flatten.Target{OS: want.OS, Arch: want.Arch, Variant: want.Variant}) {
		have := flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant}
		return noImage{fmt.Errorf("%s: it is %s, but %s is wanted", name, have, want)}
	}
	return nil
}

// checked gives the image with layers that are checked on every read.
func (i *image) checked() (v1.Image, error) {
	layers, err := i.layers()
	if err != nil {
		return nil, err
	}
	return &checkedImage{Image: i.Image, layers: layers}, nil
}

// checkedImage puts checked layers in the place of the image's own.
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

// layers gives the image's layers.
func (i *image) layers() ([]*Layer, error) {
	c, err := i.config()
	if err != nil {
		return nil, err
	}
	raw, err := i.Layers()
	if err != nil {
		return nil, i.wrong(err)
	}
	if len(raw) != len(c.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%s: manifest has %d layers, config has %d diffIDs", i.name, len(raw), len(c.RootFS.DiffIDs))
	}
	var manifest *v1.Manifest // read once: a layer that is asked for its media type parses all of it
	if i.stored {
		if manifest, err = i.Manifest(); err != nil {
			return nil, i.wrong(err)
		}
		if len(manifest.Layers) != len(raw) {
			return nil, fmt.Errorf("%s: manifest names %d layers, and the image has %d", i.name, len(manifest.Layers), len(raw))
		}
	}
	facts := i.facts(c)
	var layers []*Layer
	for n, r := range raw {
		l := &Layer{Layer: r, Diff: c.RootFS.DiffIDs[n], Stored: i.stored, image: i}
		if m, ok := r.(*remote.MountableLayer); ok {
			l.Layer, l.Mountable = m.Layer, m.Reference
		}
		if i.stored {
			if l.Compression, err = compressionOf(manifest.Layers[n].MediaType); err != nil {
				return nil, fmt.Errorf("%s: layer %d: %w", i.name, n+1, err)
			}
		}
		l.Facts = facts.Facts(l.Diff)
		layers = append(layers, l)
	}
	return layers, nil
}

// facts reads laminate's own label. One that cannot be read is as good as none.
func (i *image) facts(c *v1.ConfigFile) flatten.RecipesLabel {
	value, labelled := c.Config.Labels[flatten.RecipesLabelKey]
	if !labelled {
		return nil
	}
	l, err := flatten.ParseRecipesLabel(value)
	if err != nil {
		i.log.Warn(fmt.Sprintf("%s: %v; it is ignored", i.name, err))
		return nil
	}
	return l
}
