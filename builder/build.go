package builder

import (
	"archive/tar"
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
)

// Build builds the builder: it reuses existing layers, and writes others to the work directory.
// From the lowest, they are those of the build image, the lifecycle, whiteouts of the build image's
// overridden buildpacks, buildpacks, extensions, and the configuration. Errors for which
// [engine.IsBug] returns true are bugs in laminate.
func (j *Job) Build(ctx context.Context) (*engine.Image, error) {
	below, err := j.base.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range below {
		j.options.Ready(l)
	}
	all, layers, err := j.layers(ctx)
	if err != nil {
		return nil, err
	}
	img, err := j.assemble(all, layers)
	if err != nil {
		return nil, err
	}
	return &engine.Image{Image: img, Target: j.Target, Layers: slices.Concat(layers[flatten.Buildpack], layers[flatten.Extension])}, j.verify(img, layers)
}

// layers returns the layers on top of the build image, all of them and those of modules. It builds
// several at the same time.
func (j *Job) layers(ctx context.Context) ([]engine.NamedLayer, map[flatten.Kind][]engine.Layer, error) {
	name := "lifecycle " + j.lifecycle.Version
	parts := []part{j.tar(name, name, j.lifecycle.diffID, j.lifecycle.writeTo)}
	if len(j.whiteouts) > 0 {
		parts = append(parts, j.tar("whiteouts", "whiteouts of "+strings.Join(j.whiteouts, ", "), v1.Hash{}, j.writeWhiteouts))
	}
	made := make([][]engine.Layer, len(kinds))
	for i, kind := range kinds {
		parts = append(parts, func(ctx context.Context) ([]engine.NamedLayer, error) {
			resolved, err := j.resolve(ctx, kind)
			if err != nil {
				return nil, err
			}
			made[i], err = j.maker.Layers(ctx, j.modules[kind], resolved)
			return engine.Named(made[i]), err
		})
	}
	parts = append(parts, j.tar("configuration", "configuration", v1.Hash{}, j.writeConfiguration))
	named := make([][]engine.NamedLayer, len(parts))
	err := engine.InOrder(ctx, len(parts), func(ctx context.Context, i int) (err error) {
		named[i], err = parts[i](ctx)
		return err
	})
	layers := map[flatten.Kind][]engine.Layer{}
	for i, kind := range kinds {
		layers[kind] = made[i]
	}
	return slices.Concat(named...), layers, err
}

// part makes some of a builder's layers.
type part func(context.Context) ([]engine.NamedLayer, error)

// tar makes a layer without modules. A zero diffID is computed.
func (j *Job) tar(title, holds string, diffID v1.Hash, write func(context.Context, *tar.Writer) error) part {
	return func(ctx context.Context) ([]engine.NamedLayer, error) {
		l, err := j.maker.Tar(ctx, title, diffID, write)
		return []engine.NamedLayer{{Layer: l, Holds: holds}}, err
	}
}

// resolve resolves the layers of a kind.
func (j *Job) resolve(ctx context.Context, kind flatten.Kind) ([]engine.Resolved, error) {
	plan := j.Plan
	if kind == flatten.Extension {
		plan = j.Extensions
	}
	return j.maker.Resolve(ctx, j.modules[kind], plan)
}

// writeConfiguration writes the configuration layer.
func (j *Job) writeConfiguration(_ context.Context, tw *tar.Writer) error {
	c := configuration{
		uid: j.base.uid, gid: j.base.gid, order: j.order, system: j.system, hideSystem: j.base.Config.Config.Labels[systemLabel] != "",
		runImages: j.options.Config.RunImages, env: j.options.Config.Env,
	}
	return c.writeTo(tw)
}

// writeWhiteouts hides directories of the build image (OCI image spec, "Whiteouts"). They need a
// layer of their own: platforms that split a shared layer would take a whiteout in it for a
// version.
func (j *Job) writeWhiteouts(_ context.Context, tw *tar.Writer) error {
	for _, name := range slices.Sorted(slices.Values(j.whiteouts)) {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: layer.Epoch}); err != nil {
			return err
		}
	}
	return nil
}

// assemble assembles the image: the build image's layers and config, with ours on top, in media
// types of one family.
func (j *Job) assemble(all []engine.NamedLayer, layers map[flatten.Kind][]engine.Layer) (v1.Image, error) {
	family, err := j.family()
	if err != nil {
		return nil, err
	}
	below, err := engine.History(j.base.Image, "build image")
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
	return engine.Assemble(engine.Composition{Config: config, Below: below, Layers: all, Family: family})
}

// family returns the media types of the image: the requested ones, or those of the build image.
func (c *contents) family() (mediatype.Family, error) {
	m, err := c.base.Manifest()
	if err != nil {
		return "", err
	}
	mediaType, err := c.base.MediaType()
	if err != nil {
		return "", err
	}
	wanted := c.options.MediaTypes
	if _, err := mediatype.For(wanted, mediatype.Docker, c.options.Compression.MediaType()); err != nil {
		return "", err
	}
	layers := []types.MediaType{c.options.Compression.MediaType()}
	for _, l := range m.Layers {
		layers = append(layers, l.MediaType)
	}
	family, err := mediatype.For(wanted, mediatype.FamilyOf(mediaType), layers...)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", c.base.Name, err)
	}
	return family, nil
}

// verify checks that the image matches the plan.
func (j *Job) verify(img v1.Image, layers map[flatten.Kind][]engine.Layer) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if have := len(config.RootFS.DiffIDs); have != j.Layers.Total() {
		return &engine.BugError{Details: []string{fmt.Sprintf("%d layers, expected %d", have, j.Layers.Total())}}
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
