package builder

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"laminate/flatten"
	"laminate/packager/engine"
)

// The labels of a builder (platform spec, "Builder"), except those of layers.
const (
	metadataLabel        = flatten.BuilderMetadataLabel
	orderLabel           = flatten.OrderLabel
	orderExtensionsLabel = flatten.OrderExtensionsLabel
	systemLabel          = flatten.SystemLabel
)

// ownLabels are labels that users cannot set.
var ownLabels = []string{metadataLabel, orderLabel, orderExtensionsLabel, systemLabel,
	flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel, flatten.RecipesLabelKey}

// labels returns all labels of the image: those of the build image, of the user, and of laminate.
func (j *Job) labels(layers map[flatten.Kind][]engine.Layer) (map[string]string, error) {
	c := j.options.Config
	labels := maps.Clone(j.base.Config.Config.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, systemLabel) // of the build image, if it is a builder
	maps.Copy(labels, j.options.Labels)
	m, err := j.metadata()
	if err != nil {
		return nil, err
	}
	values := map[string]any{metadataLabel: m, orderLabel: c.Order, orderExtensionsLabel: c.OrderExtensions}
	if !j.system.Empty() {
		values[systemLabel] = j.system // with versions, which pack requires
	}
	recipes := flatten.RecipesLabel{}
	maps.Copy(recipes, j.base.Recipes)
	for _, kind := range kinds {
		byRef := flatten.LayersLabel{}
		for _, old := range j.base.modules[kind] {
			byRef.Add(old.Module, old.Layer.Diff)
		}
		if err := engine.AddToLabels(byRef, recipes, j.modules[kind], layers[kind]); err != nil {
			return nil, err
		}
		values[kind.LayersLabelKey()] = byRef
	}
	values[flatten.RecipesLabelKey] = recipes
	return labels, engine.EncodeLabels(labels, values)
}

// metadata returns the builder's metadata. Buildpacks of the build image come first; there are no
// duplicates.
func (j *Job) metadata() (flatten.BuilderMetadata, error) {
	c := j.options.Config
	m := flatten.BuilderMetadata{Description: c.Description, Lifecycle: j.lifecycle.Lifecycle, RunImages: c.RunImages}
	m.CreatedBy.Name, m.CreatedBy.Version = "laminate", j.options.Version
	if c.StackID != "" {
		m.Stack.RunImage = c.RunImages[0]
	}
	if old := j.base.Config.Config.Labels[metadataLabel]; old != "" {
		var of flatten.BuilderMetadata
		if err := json.Unmarshal([]byte(old), &of); err != nil {
			return m, fmt.Errorf("build image %s: label %s: %w", j.base.Name, metadataLabel, err)
		}
		m.Buildpacks, m.Extensions = of.Buildpacks, of.Extensions
	}
	for _, kind := range kinds {
		list := &m.Buildpacks
		if kind == flatten.Extension {
			list = &m.Extensions
		}
		for _, r := range j.added[kind] {
			i := slices.IndexFunc(*list, func(i flatten.Info) bool { return i.ID == r.ID && i.Version == r.Version })
			if i < 0 {
				*list = append(*list, j.modules[kind][r].Info)
			} else {
				(*list)[i] = j.modules[kind][r].Info
			}
		}
	}
	return m, nil
}
