package packager

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"laminate/flatten"
	"laminate/packager/engine"
)

// assemble puts the layers together. The config does not depend on how they
// are compressed, so that the image ID does not either.
func (j *Job) assemble(layers []engine.Layer) (v1.Image, error) {
	labels, err := j.labels(layers)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: j.options.Created.UTC()}
	config := &v1.ConfigFile{
		Created: created, OS: j.Target.OS, Architecture: j.Target.Arch, Variant: j.Target.Variant,
		Config: v1.Config{Labels: labels},
		RootFS: v1.RootFS{Type: "layers"},
	}
	if len(j.Target.Distros) > 0 {
		config.OSVersion = j.Target.Distros[0].Version
	}
	img, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		return nil, err
	}
	family, err := j.options.family()
	if err != nil {
		return nil, err
	}
	var adds []mutate.Addendum
	var made []v1.Layer
	for _, l := range layers {
		made = append(made, l.Layer)
		adds = append(adds, mutate.Addendum{
			Layer: l.Layer, MediaType: family.Of(j.options.Compression.MediaType()),
			History: v1.History{Created: created, CreatedBy: "laminate: " + flatten.JoinRefs(l.Plan.Refs, ", ")},
		})
	}
	if img, err = mutate.Append(img, adds...); err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, family.Manifest()), family.Config())
	return engine.WithLayers(img, made), nil
}

func (j *Job) labels(layers []engine.Layer) (map[string]string, error) {
	byRef := flatten.LayersLabel{}
	recipes := flatten.RecipesLabel{}
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		for _, r := range l.Plan.Refs {
			byRef.Add(j.modules[r].Module, diffID)
		}
		if l.Pieces != nil {
			recipes.Add(diffID, l.Pieces)
		}
	}
	root := j.modules[j.Expansion.Root].Module
	labels := map[string]string{}
	for key, value := range j.options.Labels {
		labels[key] = value
	}
	for key, value := range map[string]any{
		flatten.BuildpackageMetadataLabel: flatten.Metadata{Info: root.Info, Stacks: j.stacks},
		root.Kind.LayersLabelKey():        byRef,
		flatten.RecipesLabelKey:           recipes,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", key, err)
		}
		labels[key] = string(text)
	}
	return labels, nil
}
