package sink

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
)

// Written is one output.
type Written struct {
	// Digest is the digest of the manifest or the index; for the Docker daemon and a
	// docker-archive, which have no manifests, it is the image ID.
	Digest v1.Hash
	// Destination is the name of the output: out.cnb, oci:dir:tag, docker://host/x:tag.
	Destination string
	// MediaType is that of the manifest or the index; "" if the output has no manifest.
	MediaType types.MediaType
	// Images are the images in the output, in the order in which they were passed.
	Images []WrittenImage
}

// WrittenImage is an image in an output.
type WrittenImage struct {
	Target flatten.Target
	// Digest is that of the manifest; the zero hash if the output has no manifest.
	Digest v1.Hash
	// ID is the digest of the config.
	ID v1.Hash
	// MediaType is that of the manifest; "" if the output has no manifest.
	MediaType types.MediaType
	// Layers is the number of layers.
	Layers int
	// Bytes is the total size of the manifest, the config and the compressed layers; each digest
	// counts once.
	Bytes int64
}

// written describes the image with its manifest.
func (c content) written() WrittenImage {
	w := WrittenImage{Target: c.target, Digest: c.manifest.digest, ID: c.config.digest, MediaType: c.manifest.mediaType, Layers: len(c.layers)}
	for _, b := range c.blobs() {
		w.Bytes += b.size
	}
	return w
}

// withoutManifest describes an image in an output that has no manifest.
func (c content) withoutManifest() WrittenImage {
	w := c.written()
	w.Bytes -= int64(len(c.manifest.raw))
	w.Digest, w.MediaType = v1.Hash{}, ""
	return w
}

// holding describes the images that a manifest or an index refers to: one image for a manifest, all
// of its images for an index.
func holding(m manifest, contents []content) []WrittenImage {
	var all []WrittenImage
	for _, c := range contents {
		if c.manifest.digest == m.digest {
			return []WrittenImage{c.written()}
		}
		all = append(all, c.written())
	}
	return all
}
