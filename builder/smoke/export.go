package smoke

import (
	"bytes"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"laminate/builder/lifecycle"
	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/mediatype"
)

// writeSparse writes the manifest and the config of an image, and none of its layers but those given, as
// an OCI layout: the lifecycle needs no more of a run image.
func writeSparse(dir string, img *image.Image, layers ...*image.Layer) error {
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := writeLayer(p, l); err != nil {
			return err
		}
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return err
	}
	d := v1.Descriptor{MediaType: mediaType, Size: int64(len(manifest))}
	for _, blob := range [][]byte{config, manifest} {
		hash, _, err := v1.SHA256(bytes.NewReader(blob))
		if err != nil {
			return err
		}
		if err := p.WriteBlob(hash, io.NopCloser(bytes.NewReader(blob))); err != nil {
			return err
		}
		d.Digest = hash // of the manifest, which comes last
	}
	return p.AppendDescriptor(d)
}

// complete returns the app image with the layers of the run image and of the previous image, which the
// lifecycle did not have. All of its media types are OCI's: the lifecycle exports its own layers with Docker's,
// in an OCI manifest. It puts the reference of the run image right, which the lifecycle makes up.
func (b *build) complete(made *image.Image) (v1.Image, error) {
	adds, err := engine.History(made, "the lifecycle")
	if err != nil {
		return nil, err
	}
	below := b.RunImage.Contents()
	n := 0
	for i := range adds {
		if adds[i].Layer == nil {
			continue
		}
		if n < len(below) {
			if made.Contents()[n].Diff != below[n].Diff {
				return nil, errNoRunImage
			}
			adds[i].Layer = below[n].Reuse()
		} else if l := b.previousLayer(made.Contents()[n]); l != nil {
			adds[i].Layer = l.Reuse()
		}
		n++
	}
	if n < len(below) {
		return nil, errNoRunImage
	}
	config := made.Config.DeepCopy()
	run, err := b.runReference()
	if err != nil {
		return nil, err
	}
	labels := config.Config.Labels
	if labels[flatten.AppLayersLabel], err = lifecycle.WithRunImage(labels[flatten.AppLayersLabel], run); err != nil {
		return nil, err
	}
	config.RootFS.DiffIDs, config.History = nil, nil
	return engine.Assemble(engine.Composition{Config: config, Below: adds, Family: mediatype.OCI})
}

// runReference returns the reference of the run image for the lifecycle's metadata.
func (b *build) runReference() (string, error) {
	digest, err := b.RunImage.Digest()
	if err != nil {
		return "", err
	}
	return b.runName.Context().Name() + "@" + digest.String(), nil
}
