package packager

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/engine"
)

// Image is a buildpackage: whole, checked, and not written anywhere yet. Its
// layers are read from the work directory and from the sources.
type Image struct {
	v1.Image
	Target flatten.Target
	Layers []engine.Layer
}

// Build builds the image: layers that a source has already are taken as they
// are, the others are written to the work directory. An error of which
// [engine.IsFault] is true is a bug in laminate.
func (j *Job) Build(ctx context.Context) (*Image, error) {
	img := &Image{Target: j.Target}
	var err error
	if img.Layers, err = j.maker.Layers(ctx, j.modules, j.Plan); err != nil {
		return nil, err
	}
	if img.Image, err = j.assemble(img.Layers); err != nil {
		return nil, err
	}
	return img, j.verify(img)
}

// verify checks that the image is what was planned, and no more than that.
func (j *Job) verify(img *Image) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	label, err := flatten.ParseLayersLabel(config.Config.Labels[j.Kind().LayersLabelKey()])
	if err != nil {
		return err
	}
	if have, want := len(label.Refs()), len(j.Expansion.Refs); have != want {
		return &engine.FaultyImageError{Faults: []string{fmt.Sprintf("its label has %d refs, planned were %d", have, want)}}
	}
	if have, says, want := len(img.Layers), len(config.RootFS.DiffIDs), len(j.Plan); have != want || says != want {
		return &engine.FaultyImageError{Faults: []string{fmt.Sprintf("it has %d layers and %d in its config, planned were %d", have, says, want)}}
	}
	return engine.Verify(config, img.Layers, label)
}
