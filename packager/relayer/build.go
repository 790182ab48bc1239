package relayer

import (
	"context"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
)

// ownLabels are labels that users cannot set.
var ownLabels = []string{
	flatten.BuilderMetadataLabel, flatten.OrderLabel, flatten.OrderExtensionsLabel, flatten.SystemLabel,
	flatten.BuildpackageMetadataLabel, flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel, flatten.RecipesLabelKey,
}

// Build builds the image: it keeps the layers that stay, and writes others to the work directory.
// Errors for which [engine.IsBug] returns true are bugs in laminate.
func (j *Job) Build(ctx context.Context) (*engine.Image, error) {
	resolved, err := j.maker.Resolve(ctx, j.modules, j.Plan)
	if err != nil {
		return nil, err
	}
	layers, err := j.maker.Layers(ctx, j.modules, resolved)
	if err != nil {
		return nil, err
	}
	img, err := j.assemble(layers)
	if err != nil {
		return nil, err
	}
	return &engine.Image{Image: img, Target: j.Target, Layers: layers}, j.verify(img, layers)
}

// assemble assembles the image: its own config, with other layers and the labels that name them.
func (j *Job) assemble(layers []engine.Layer) (v1.Image, error) {
	config := j.image.Config.DeepCopy()
	var err error
	if config.Config.Labels, err = j.labels(layers); err != nil {
		return nil, err
	}
	family, err := j.family(layers)
	if err != nil {
		return nil, err
	}
	stack, err := j.stack(layers)
	if err != nil {
		return nil, err
	}
	config.RootFS.DiffIDs, config.History = nil, nil
	annotations, err := j.annotations()
	if err != nil {
		return nil, err
	}
	return engine.Assemble(engine.Composition{Config: config, Below: stack, Family: family, Annotations: annotations})
}

// stack returns all layers with their history. The new layers lie where the highest layer with
// buildpacks was: a layer below may hide a path that it holds too, with a whiteout.
func (j *Job) stack(layers []engine.Layer) ([]mutate.Addendum, error) {
	old, err := engine.History(j.image, "")
	if err != nil {
		return nil, err
	}
	histories := map[v1.Hash]v1.History{}
	contents := j.image.Contents()
	n := 0
	var below, above []mutate.Addendum
	into := &below
	for _, a := range old {
		if a.Layer == nil {
			*into = append(*into, a)
			continue
		}
		l := contents[n]
		n++
		if j.isOld(l) {
			histories[l.Diff] = a.History
			if l == j.old[len(j.old)-1] {
				into = &above
			}
			continue
		}
		*into = append(*into, a)
	}
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		h, stays := histories[diffID]
		if !stays {
			h = v1.History{Created: j.image.Config.Created, CreatedBy: engine.CreatedBy(flatten.JoinRefs(l.Plan.Refs, ", "))}
		}
		below = append(below, mutate.Addendum{Layer: l.Layer, History: h})
	}
	return append(below, above...), nil
}

// labels returns the labels of the image, with other layers.
func (j *Job) labels(layers []engine.Layer) (map[string]string, error) {
	labels := maps.Clone(j.image.Config.Config.Labels)
	maps.Copy(labels, j.options.Labels)
	at, recipes := map[flatten.Ref]v1.Hash{}, flatten.RecipesLabel{}
	maps.Copy(recipes, j.image.Recipes)
	for _, l := range j.old {
		delete(recipes, l.Diff)
	}
	for _, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		for _, r := range l.Plan.Refs {
			at[r] = diffID
		}
		if l.Pieces != nil {
			recipes.Add(diffID, l.Pieces)
		}
	}
	moved, err := flatten.MoveLayers(labels[flatten.BuildpackLayersLabel], at)
	if err != nil {
		return nil, fmt.Errorf("%s: label %s: %w", j.image.Name, flatten.BuildpackLayersLabel, err)
	}
	labels[flatten.BuildpackLayersLabel] = moved
	return labels, engine.EncodeLabels(labels, map[string]any{flatten.RecipesLabelKey: recipes})
}

// family returns the media types of the image: the requested ones, or its own.
func (j *Job) family(layers []engine.Layer) (mediatype.Family, error) {
	mediaType, err := j.image.MediaType()
	if err != nil {
		return "", err
	}
	var used []types.MediaType
	below, above := j.kept()
	for _, l := range slices.Concat(below, above) {
		used = append(used, l.Compression.MediaType())
	}
	for _, l := range layers {
		t, err := l.MediaType()
		if err != nil {
			return "", err
		}
		used = append(used, t)
	}
	return mediatype.For(j.options.MediaTypes, mediatype.FamilyOf(mediaType), used...)
}

// annotations returns those of the image's manifest, if it is stored with one.
func (j *Job) annotations() (map[string]string, error) {
	if !j.image.Stored() {
		return nil, nil
	}
	m, err := j.image.Manifest()
	if err != nil {
		return nil, err
	}
	return m.Annotations, nil
}

// verify checks that the image matches the plan.
func (j *Job) verify(img v1.Image, layers []engine.Layer) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	label, err := flatten.ParseLayersLabel(config.Config.Labels[flatten.BuildpackLayersLabel])
	if err != nil {
		return err
	}
	if have, want := len(config.RootFS.DiffIDs), j.Layers(); have != want {
		return &engine.BugError{Details: []string{fmt.Sprintf("%d layers, expected %d", have, want)}}
	}
	if have, want := len(label.Refs()), len(j.Expansion.Refs); have != want {
		return &engine.BugError{Details: []string{fmt.Sprintf("label has %d refs, expected %d", have, want)}}
	}
	return engine.Verify(config, layers, label)
}
