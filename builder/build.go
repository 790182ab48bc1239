package builder

import (
	"archive/tar"
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
)

// Image is a builder: whole, checked, and not written anywhere yet.
type Image struct {
	v1.Image
	Target flatten.Target
}

// Build makes the builder: layers that a source has already are taken as they
// are, the others are written to the work directory. From below, they are the
// build image's, the lifecycle, what hides the build image's overridden
// buildpacks, buildpacks, extensions, and the configuration. An error of which
// [engine.IsFault] is true is a bug in laminate.
func (j *Job) Build(ctx context.Context) (*Image, error) {
	lifecycle, err := j.maker.Tar(ctx, "lifecycle "+j.lifecycle.Version, j.lifecycle.diffID, j.lifecycle.writeTo)
	if err != nil {
		return nil, err
	}
	adds := []mutate.Addendum{j.addendum(lifecycle, "lifecycle "+j.lifecycle.Version)}
	if len(j.whiteouts) > 0 {
		hidden, err := j.maker.Tar(ctx, "whiteouts", v1.Hash{}, j.writeWhiteouts)
		if err != nil {
			return nil, err
		}
		adds = append(adds, j.addendum(hidden, "whiteouts of "+strings.Join(j.whiteouts, ", ")))
	}
	layers := map[flatten.Kind][]engine.Layer{}
	for _, kind := range kinds {
		plan := j.Plan
		if kind == flatten.Extension {
			plan = j.Extensions
		}
		if layers[kind], err = j.maker.Layers(ctx, j.modules[kind], plan); err != nil {
			return nil, err
		}
		for _, l := range layers[kind] {
			adds = append(adds, j.addendum(l.Layer, flatten.JoinRefs(l.Plan.Refs, ", ")))
		}
	}
	configured, err := j.maker.Tar(ctx, "configuration", v1.Hash{}, j.writeConfiguration)
	if err != nil {
		return nil, err
	}
	adds = append(adds, j.addendum(configured, "configuration"))
	img, err := j.assemble(adds, layers)
	if err != nil {
		return nil, err
	}
	return &Image{Image: img, Target: j.Target}, j.verify(img, layers)
}

func (j *Job) addendum(l v1.Layer, holds string) mutate.Addendum {
	return mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: j.options.Created.UTC()}, CreatedBy: "laminate: " + holds}}
}

// writeConfiguration writes what the builder says of itself.
func (j *Job) writeConfiguration(_ context.Context, tw *tar.Writer) error {
	c := configuration{
		uid: j.base.uid, gid: j.base.gid, order: j.order, system: j.system, hideSystem: j.base.Config.Config.Labels[systemLabel] != "",
		runImages: j.options.Config.RunImages, env: j.options.Config.Env,
	}
	return c.writeTo(tw)
}

// writeWhiteouts hides directories of the build image (OCI image spec,
// "Whiteouts"). They have a layer of their own: platforms that split a shared
// layer would take one in it for a version.
func (j *Job) writeWhiteouts(_ context.Context, tw *tar.Writer) error {
	for _, name := range slices.Sorted(slices.Values(j.whiteouts)) {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: layer.Epoch}); err != nil {
			return err
		}
	}
	return nil
}

// assemble puts the image together: the build image's layers and config, with
// ours on top. The media types of all of it are of one family.
func (j *Job) assemble(adds []mutate.Addendum, layers map[flatten.Kind][]engine.Layer) (v1.Image, error) {
	family, err := j.family()
	if err != nil {
		return nil, err
	}
	below, err := j.below()
	if err != nil {
		return nil, err
	}
	config := j.base.Config.DeepCopy()
	config.RootFS.DiffIDs, config.History = nil, nil
	config.Created = v1.Time{Time: j.options.Created.UTC()}
	config.Config.WorkingDir = layersDir
	if len(j.Target.Distros) > 0 {
		config.OSVersion = j.Target.Distros[0].Version
	}
	if config.Config.Labels, err = j.labels(layers); err != nil {
		return nil, err
	}
	img, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		return nil, err
	}
	adds = slices.Concat(below, adds)
	var made []v1.Layer
	for i, a := range adds {
		if a.Layer == nil {
			continue
		}
		made = append(made, a.Layer)
		mediaType, err := a.Layer.MediaType()
		if err != nil {
			return nil, err
		}
		adds[i].MediaType = family.Of(mediaType)
	}
	if img, err = mutate.Append(img, adds...); err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, family.Manifest()), family.Config())
	return engine.WithLayers(img, made), nil
}

// below gives the build image's layers with their history.
func (j *Job) below() ([]mutate.Addendum, error) {
	layers, err := j.base.Layers()
	if err != nil {
		return nil, err
	}
	var adds []mutate.Addendum
	rest := layers
	for _, h := range j.base.Config.History {
		switch {
		case h.EmptyLayer:
			adds = append(adds, mutate.Addendum{History: h})
		case len(rest) > 0:
			adds = append(adds, mutate.Addendum{Layer: rest[0], History: h})
			rest = rest[1:]
		}
	}
	for _, l := range rest { // without a history of their own
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "build image"}})
	}
	return adds, nil
}

// family returns the media types of the image: the wanted ones, or those of the build image.
func (j *Job) family() (mediatype.Family, error) {
	m, err := j.base.Manifest()
	if err != nil {
		return "", err
	}
	mediaType, err := j.base.MediaType()
	if err != nil {
		return "", err
	}
	wanted := j.options.MediaTypes
	if _, err := mediatype.For(wanted, mediatype.Docker, j.options.Compression.MediaType()); err != nil {
		return "", err
	}
	layers := []types.MediaType{j.options.Compression.MediaType()}
	for _, l := range m.Layers {
		layers = append(layers, l.MediaType)
	}
	family, err := mediatype.For(wanted, mediatype.FamilyOf(mediaType), layers...)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", j.base.Name, err)
	}
	return family, nil
}

// verify checks that the image is what was planned.
func (j *Job) verify(img v1.Image, layers map[flatten.Kind][]engine.Layer) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if have := len(config.RootFS.DiffIDs); have != j.Layers.Total() {
		return &engine.FaultyImageError{Faults: []string{fmt.Sprintf("it has %d layers, planned were %d", have, j.Layers.Total())}}
	}
	for _, kind := range kinds {
		label, err := flatten.ParseLayersLabel(config.Config.Labels[kind.LayersLabelKey()])
		if err != nil {
			return err
		}
		if err := engine.Verify(config, layers[kind], label); err != nil {
			return err
		}
	}
	return nil
}
