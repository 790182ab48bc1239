package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/flatten"
	"laminate/flatten/layer"
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

	registryOptions registry.Options
	limits          Limits
	workDir         string
	log             progress.Log
}

// config gives the image's config, once it is known to be small enough.
func (i *image) config() (*v1.ConfigFile, error) {
	if i.stored {
		m, err := i.Manifest()
		if err != nil {
			return nil, i.wrong(err)
		}
		if m.Config.Size < 0 || m.Config.Size > documentLimit {
			return nil, fmt.Errorf("%s: config of the image has %d bytes, more than the limit of %d", i.name, m.Config.Size, documentLimit)
		}
	}
	c, err := i.ConfigFile()
	if err != nil {
		return nil, i.wrong(err)
	}
	return c, nil
}

// wrong tells what is wrong with the image.
func (i *image) wrong(err error) error {
	if i.remote && isNetwork(err) {
		return registry.Explain(err, i.name)
	}
	return fmt.Errorf("%s: %w", i.name, err)
}

// isNetwork tells the network's and the registry's errors from those of the image.
func isNetwork(err error) bool {
	var answer *transport.Error
	var request *url.Error
	var stall *registry.StallError
	var plain *registry.PlainError
	var other net.Error
	return errors.As(err, &answer) || errors.As(err, &request) || errors.As(err, &stall) ||
		errors.As(err, &plain) || errors.As(err, &other)
}

// checkTarget reports where the image is for another platform than is wanted.
func (i *image) checkTarget(want flatten.Target) error {
	c, err := i.config()
	if err != nil {
		return err
	}
	if c.OS == "windows" {
		return fmt.Errorf("%s: it is for windows, which is not supported; use its linux variant", i.name)
	}
	if !platformFits(v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}, flatten.Target{OS: want.OS, Arch: want.Arch, Variant: want.Variant}) {
		have := flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant}
		return fmt.Errorf("%s: it is %s, but %s is wanted", i.name, have, want)
	}
	return nil
}

// checked gives the image with layers that are checked on every read.
func (i *image) checked() (v1.Image, error) {
	layers, err := i.layers()
	if err != nil {
		return nil, err
	}
	c := &checkedImage{Image: i.Image}
	for _, l := range layers {
		c.layers = append(c.layers, l)
	}
	return c, nil
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
	facts := i.facts(c)
	var layers []*Layer
	for n, r := range raw {
		l := &Layer{Layer: r, Diff: c.RootFS.DiffIDs[n], Stored: i.stored, image: i}
		if m, ok := r.(*remote.MountableLayer); ok {
			l.Layer, l.Mountable = m.Layer, m.Reference
		}
		if i.stored {
			if l.Compression, err = compressionOf(l.Layer); err != nil {
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

// pack reads the labels of a buildpackage.
func (i *image) pack(kind flatten.Kind) (*Package, error) {
	c, err := i.config()
	if err != nil {
		return nil, err
	}
	label, metadata, err := i.labels(c, kind)
	if err != nil {
		return nil, err
	}
	layers, err := i.layers()
	if err != nil {
		return nil, err
	}
	root := flatten.Ref{ID: metadata.ID, Version: metadata.Version}
	p := &Package{Name: i.name, Root: root, Target: flatten.Target{OS: c.OS, Arch: c.Architecture, Variant: c.Variant}}
	if p.Modules, err = i.modules(kind, label, layers); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.Modules, func(m *Module) bool { return m.Ref() == root })
	if at < 0 {
		return nil, fmt.Errorf("%s: label %s speaks of %s, which label %s does not have", i.name, flatten.BuildpackageMetadataLabel, root, kind.LayersLabelKey())
	}
	m := p.Modules[at]
	m.Info = metadata.Info
	p.Modules = slices.Insert(slices.Delete(p.Modules, at, at+1), 0, m)
	return p, nil
}

func (i *image) labels(c *v1.ConfigFile, kind flatten.Kind) (flatten.LayersLabel, flatten.Metadata, error) {
	key := kind.LayersLabelKey()
	value, labelled := c.Config.Labels[key]
	if !labelled {
		other := flatten.ExtensionLayersLabel
		if kind == flatten.Extension {
			other = flatten.BuildpackLayersLabel
		}
		if _, has := c.Config.Labels[other]; has {
			return nil, flatten.Metadata{}, fmt.Errorf("%s: it is a package of another kind: it has label %s, but not %s", i.name, other, key)
		}
		return nil, flatten.Metadata{}, fmt.Errorf("%s: it is not a buildpackage: no label %s", i.name, key)
	}
	label, err := flatten.ParseLayersLabel(value)
	if err != nil {
		return nil, flatten.Metadata{}, i.wrongLabel(err)
	}
	value, labelled = c.Config.Labels[flatten.BuildpackageMetadataLabel]
	if !labelled {
		return nil, flatten.Metadata{}, fmt.Errorf("%s: it is not a buildpackage, perhaps a builder: no label %s", i.name, flatten.BuildpackageMetadataLabel)
	}
	metadata, err := flatten.ParseMetadata(value)
	if err != nil {
		return nil, flatten.Metadata{}, i.wrongLabel(err)
	}
	return label, metadata, nil
}

func (i *image) wrongLabel(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &mismatch) {
		return fmt.Errorf("%s: %w; it was not made by a buildpack tool", i.name, err)
	}
	return fmt.Errorf("%s: %w", i.name, err)
}

// modules gives what the label lists, each with the layer that holds it,
// sorted by ref.
func (i *image) modules(kind flatten.Kind, label flatten.LayersLabel, layers []*Layer) ([]*Module, error) {
	byDiffID := map[string]*Layer{}
	for _, l := range layers {
		byDiffID[l.Diff.String()] = l
	}
	var modules []*Module
	var errs []error
	for _, r := range label.Refs() {
		m := &Module{Module: label.Module(kind, r), Source: i.name}
		diffID := label[r.ID][r.Version].LayerDiffID
		if m.Layer = byDiffID[diffID]; m.Layer == nil {
			errs = append(errs, fmt.Errorf("%s: label says that %s is in layer %s, which is not in the image", i.name, r, diffID))
			continue
		}
		m.Layer.Refs = append(m.Layer.Refs, r)
		modules = append(modules, m)
	}
	if len(modules) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: it is not a buildpackage: label %s is empty", i.name, kind.LayersLabelKey()))
	}
	shared := map[*Layer]map[flatten.Ref]layer.Piece{}
	for _, m := range modules {
		switch l := m.Layer; {
		case len(l.Refs) == 1:
			m.Piece = layer.FromLayer(kind, m.Ref(), i.name, l.open)
		default:
			if shared[l] == nil {
				shared[l] = layer.FromSharedLayer(kind, l.Refs, i.name, i.workDir, l.open)
			}
			m.Piece = shared[l][m.Ref()]
		}
	}
	return modules, errors.Join(errs...)
}

// platformFits tells whether what is for a platform does for the target. What
// either does not say fits.
func platformFits(have v1.Platform, want flatten.Target) bool {
	if len(want.Distros) == 1 && have.OSVersion != "" && have.OSVersion != want.Distros[0].Version {
		return false
	}
	return agree(have.OS, want.OS) && agree(have.Architecture, want.Arch) &&
		agree(variant(have.Architecture, have.Variant), variant(want.Arch, want.Variant))
}

func agree(have, want string) bool { return have == "" || want == "" || have == want }

// variant leaves out the variant that arm64 has anyway.
func variant(arch, v string) string {
	if arch == "arm64" && strings.TrimPrefix(v, "v") == "8" {
		return ""
	}
	return v
}
