package packager

import (
	"context"
	"fmt"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/engine"
)

// Build builds the image: it reuses existing layers, and writes others to the work directory.
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

// assemble assembles the image.
func (j *Job) assemble(layers []engine.Layer) (v1.Image, error) {
	labels, err := j.labels(layers)
	if err != nil {
		return nil, err
	}
	family, err := j.options.family()
	if err != nil {
		return nil, err
	}
	config := &v1.ConfigFile{
		Created: v1.Time{Time: j.options.Created.UTC()}, OS: j.Target.OS, Architecture: j.Target.Arch, Variant: j.Target.Variant,
		Config: v1.Config{Labels: labels},
		RootFS: v1.RootFS{Type: "layers"},
	}
	if len(j.Target.Distros) > 0 {
		config.OSVersion = j.Target.Distros[0].Version
	}
	return engine.Assemble(engine.Composition{Config: config, Layers: engine.Named(layers), Family: family})
}

// ownLabels are labels that users cannot set.
var ownLabels = []string{
	flatten.BuildpackageMetadataLabel, flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel, flatten.RecipesLabelKey,
}

func (j *Job) labels(layers []engine.Layer) (map[string]string, error) {
	byRef, recipes := flatten.LayersLabel{}, flatten.RecipesLabel{}
	if err := engine.AddToLabels(byRef, recipes, j.modules, layers); err != nil {
		return nil, err
	}
	labels := map[string]string{}
	maps.Copy(labels, j.options.Labels)
	root := j.modules[j.Expansion.Root].Module
	return labels, engine.EncodeLabels(labels, map[string]any{
		flatten.BuildpackageMetadataLabel: flatten.Metadata{Info: root.Info, Stacks: j.stacks},
		root.Kind.LayersLabelKey():        byRef,
		flatten.RecipesLabelKey:           recipes,
	})
}

// verify checks that the image matches the plan exactly.
func (j *Job) verify(img v1.Image, layers []engine.Layer) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	label, err := flatten.ParseLayersLabel(config.Config.Labels[j.Kind().LayersLabelKey()])
	if err != nil {
		return err
	}
	if have, want := len(label.Refs()), len(j.Expansion.Refs); have != want {
		return &engine.BugError{Details: []string{fmt.Sprintf("label has %d refs, expected %d", have, want)}}
	}
	if have, says, want := len(layers), len(config.RootFS.DiffIDs), len(j.Plan); have != want || says != want {
		return &engine.BugError{Details: []string{fmt.Sprintf("%d layers and %d in the config, expected %d", have, says, want)}}
	}
	return engine.Verify(config, layers, label)
}
