package smoke

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/mediatype"
)

// lifecycleMetadataLabel describes the layers of an app image.
const lifecycleMetadataLabel = "io.buildpacks.lifecycle.metadata"

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
	if config.Config.Labels[lifecycleMetadataLabel], err = b.putRight(config.Config.Labels[lifecycleMetadataLabel]); err != nil {
		return nil, err
	}
	config.RootFS.DiffIDs, config.History = nil, nil
	return engine.Assemble(engine.Composition{Config: config, Below: adds, Family: mediatype.OCI})
}

// putRight replaces the reference of the run image in the lifecycle's metadata, which names the
// directory of a layout in the sandbox, by that of the run image.
func (b *build) putRight(metadata string) (string, error) {
	var m struct {
		RunImage struct {
			Reference string `json:"reference"`
		} `json:"runImage"`
	}
	if err := json.Unmarshal([]byte(metadata), &m); err != nil {
		return "", fmt.Errorf("label %s: %w", lifecycleMetadataLabel, err)
	}
	digest, err := b.RunImage.Digest()
	if err != nil {
		return "", err
	}
	was, err := json.Marshal(m.RunImage.Reference)
	if err != nil {
		return "", err
	}
	is, err := json.Marshal(b.runName.Context().Name() + "@" + digest.String())
	if err != nil {
		return "", err
	}
	return strings.Replace(metadata, `"reference":`+string(was), `"reference":`+string(is), 1), nil
}
