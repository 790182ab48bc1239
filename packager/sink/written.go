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
	// MediaType is that of the manifest or the index; "" where the output keeps
	// no manifest.
	MediaType types.MediaType
	// Images are what the output holds, in the order of the images to write.
	Images []WrittenImage
}

// WrittenImage is an image in an output.
type WrittenImage struct {
	Target flatten.Target
	// Digest is that of the manifest; the zero hash where the output keeps none.
	Digest v1.Hash
	// ID is the digest of the config.
	ID v1.Hash
	// MediaType is that of the manifest; "" where the output keeps none.
	MediaType types.MediaType
	// Layers is how many the image has.
	Layers int
	// Bytes are those of manifest, config and layers, each digest once, as they
	// are compressed.
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

// withoutManifest describes the image where an output keeps no manifest.
func (c content) withoutManifest() WrittenImage {
	w := c.written()
	w.Bytes -= int64(len(c.manifest.raw))
	w.Digest, w.MediaType = v1.Hash{}, ""
	return w
}

// holding describes the images that a manifest stands for: the one whose own it
// is, or all of them for an index.
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
