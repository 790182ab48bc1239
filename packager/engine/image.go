package engine

import (
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/mediatype"
)

// Image is a complete, verified image that is not written yet. Its layers are read from the work
// directory and from the sources.
type Image struct {
	v1.Image
	Target flatten.Target
	// Layers are the layers of buildpacks, followed by those of extensions.
	Layers []Layer
}

// Composition holds the parts of an image.
type Composition struct {
	// Config is the config without layers and history.
	Config *v1.ConfigFile
	// Below are the layers of the build image, with its history.
	Below []mutate.Addendum
	// Layers are on top of them.
	Layers []NamedLayer
	// Family is that of all media types.
	Family mediatype.Family
	// Annotations are those of the manifest.
	Annotations map[string]string
}

// NamedLayer is a layer with a description for the history.
type NamedLayer struct {
	v1.Layer
	Holds string
}

// Named returns layers of modules, described by their refs.
func Named(layers []Layer) []NamedLayer {
	var named []NamedLayer
	for _, l := range layers {
		named = append(named, NamedLayer{l.Layer, flatten.JoinRefs(l.Plan.Refs, ", ")})
	}
	return named
}

// Assemble assembles an image. The config, and so the image ID, does not depend on the compression
// of layers.
func Assemble(c Composition) (v1.Image, error) {
	img, err := mutate.ConfigFile(empty.Image, c.Config)
	if err != nil {
		return nil, err
	}
	adds := slices.Clone(c.Below)
	for _, l := range c.Layers {
		adds = append(adds, mutate.Addendum{
			Layer: l.Layer, History: v1.History{Created: c.Config.Created, CreatedBy: CreatedBy(l.Holds)},
		})
	}
	var layers []v1.Layer
	for i, a := range adds {
		if a.Layer == nil {
			continue
		}
		layers = append(layers, a.Layer)
		mediaType, err := a.Layer.MediaType()
		if err != nil {
			return nil, err
		}
		adds[i].MediaType = c.Family.Of(mediaType)
	}
	if img, err = mutate.Append(img, adds...); err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, c.Family.Manifest()), c.Family.Config())
	if len(c.Annotations) > 0 {
		img = mutate.Annotations(img, c.Annotations).(v1.Image) // it returns what it is given, annotated
	}
	return &layered{img, layers}, nil
}

// CreatedBy returns the description in the history of a layer that laminate built.
func CreatedBy(holds string) string { return "laminate: " + holds }

// History returns the layers of an image with its history, including the entries without a layer.
// Layers for which the history has no entry are said to be created by other.
func History(img *image.Image, other string) ([]mutate.Addendum, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var adds []mutate.Addendum
	rest := layers
	for _, h := range img.Config.History {
		switch {
		case h.EmptyLayer:
			adds = append(adds, mutate.Addendum{History: h})
		case len(rest) > 0:
			adds = append(adds, mutate.Addendum{Layer: rest[0], History: h})
			rest = rest[1:]
		}
	}
	for _, l := range rest {
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: other}})
	}
	return adds, nil
}

// layered is an image with cached layers. Images of package mutate encode the whole config again
// for each access to a layer.
type layered struct {
	v1.Image
	layers []v1.Layer
}

func (l *layered) Layers() ([]v1.Layer, error) { return slices.Clone(l.layers), nil }

// AddToLabels adds layers of modules to the labels.
func AddToLabels(byRef flatten.LayersLabel, recipes flatten.RecipesLabel, ms Modules, layers []Layer) error {
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		for _, r := range l.Plan.Refs {
			byRef.Add(ms[r].Module, diffID)
		}
		if l.Pieces != nil {
			recipes.Add(diffID, l.Pieces)
		}
	}
	return nil
}

// EncodeLabels adds labels with JSON values.
func EncodeLabels(labels map[string]string, values map[string]any) error {
	for key, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("label %s: %w", key, err)
		}
		labels[key] = string(text)
	}
	return nil
}
