package smoke

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"laminate/builder/lifecycle"
	"laminate/flatten"
	"laminate/packager/image"
)

// previousName is the name of the previous image in the sandbox.
const previousName = "index.docker.io/laminate/previous:latest"

// writePrevious writes what the lifecycle needs of the previous image: its labels say which layers there
// are, and those that are reused are named by digest only. The layer with SBOMs is read, for buildpacks
// whose layers are reused.
func (b *build) writePrevious() error {
	if b.Previous == nil {
		return nil
	}
	if b.Previous.Kind() != image.App {
		return fmt.Errorf("previous image %s: not an app image: it has no label %s", b.Previous.Name, flatten.AppLayersLabel)
	}
	labels, err := b.Previous.AppLabels()
	if err != nil {
		return fmt.Errorf("previous image %w", err)
	}
	var read []*image.Layer
	if labels.Layers.SBOM != nil {
		read = append(read, b.previousOf(labels.Layers.SBOM.SHA)...)
	}
	ref, err := name.ParseReference(previousName, name.WeakValidation)
	if err != nil {
		return err
	}
	return writeSparse(filepath.Join(b.in(layoutDir), filepath.FromSlash(lifecycle.LayoutPath(ref))), b.Previous, read...)
}

// previousOf returns the layer of the previous image with a diffID, or none.
func (b *build) previousOf(diffID string) []*image.Layer {
	if b.Previous != nil {
		for _, l := range b.Previous.Contents() {
			if l.Diff.String() == diffID {
				return []*image.Layer{l}
			}
		}
	}
	return nil
}

// previousLayer returns the layer of the previous image that the lifecycle has reused, or nil if it has
// written the layer itself.
func (b *build) previousLayer(made *image.Layer) *image.Layer {
	if _, err := os.Stat(made.File()); err == nil {
		return nil
	}
	for _, l := range b.previousOf(made.Diff.String()) {
		return l
	}
	return nil
}

// writeLayer writes the blob of a layer.
func writeLayer(to layout.Path, l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	return errors.Join(to.WriteBlob(digest, io.NopCloser(r)), r.Close()) // which may be called once
}
