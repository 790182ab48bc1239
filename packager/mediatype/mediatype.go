// Package mediatype names what the parts of an image are called in its manifest: by Docker's media
// types or by OCI's. Both families describe the same bytes, so an image keeps its ID under either
// and only its manifest, and with it the manifest's digest, changes.
package mediatype

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Family is a set of media types that go together in one image. The zero value is no family: it
// stands for whatever fits the image.
type Family string

// The two families.
const (
	Docker Family = "docker"
	OCI    Family = "oci"
)

// Parse reads the name of a family.
func Parse(s string) (Family, error) {
	switch f := Family(s); f {
	case Docker, OCI:
		return f, nil
	}
	return "", fmt.Errorf("invalid media types %q; they are docker or oci", s)
}

// String names the family as people write it: Docker, OCI.
func (f Family) String() string {
	if f == OCI {
		return "OCI"
	}
	return "Docker"
}

// Other returns the other family.
func (f Family) Other() Family {
	if f == OCI {
		return Docker
	}
	return OCI
}

// dockerZstdLayer is a media type that some tools write for layers in zstd. Docker never had one.
const dockerZstdLayer types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// names pairs the media types that mean the same.
var names = []struct{ docker, oci types.MediaType }{
	{types.DockerManifestSchema2, types.OCIManifestSchema1},
	{types.DockerManifestList, types.OCIImageIndex},
	{types.DockerConfigJSON, types.OCIConfigJSON},
	{types.DockerLayer, types.OCILayer},
	{types.DockerUncompressedLayer, types.OCIUncompressedLayer},
	{types.DockerForeignLayer, types.OCIRestrictedLayer},
}

// Manifest returns the media type of an image manifest.
func (f Family) Manifest() types.MediaType { return f.Of(types.OCIManifestSchema1) }

// Config returns the media type of an image's config.
func (f Family) Config() types.MediaType { return f.Of(types.OCIConfigJSON) }

// Index returns the media type of an index over several images.
func (f Family) Index() types.MediaType { return f.Of(types.OCIImageIndex) }

// Of returns the family's name for what a media type of either family stands for. A media type
// without a name in the family stays as it is.
func (f Family) Of(t types.MediaType) types.MediaType {
	for _, n := range names {
		if t == n.docker || t == n.oci {
			if f == OCI {
				return n.oci
			}
			return n.docker
		}
	}
	if f == OCI && t == dockerZstdLayer {
		return types.OCILayerZStd
	}
	return t
}

// FamilyOf returns the family of a manifest's or an index's media type.
func FamilyOf(t types.MediaType) Family {
	if t == types.OCIManifestSchema1 || t == types.OCIImageIndex {
		return OCI
	}
	return Docker
}

// For returns the family of an image whose layers have these media types. It is the wanted one, and
// where none is wanted, like, unless a layer is compressed with zstd: that has an OCI media type only.
func For(wanted, like Family, layers ...types.MediaType) (Family, error) {
	zstd := slices.ContainsFunc(layers, func(t types.MediaType) bool { return t == types.OCILayerZStd || t == dockerZstdLayer })
	switch {
	case zstd && wanted == Docker:
		return "", errors.New("unsupported media types docker: layers compressed with zstd have OCI media types only")
	case zstd:
		return OCI, nil
	}
	return cmp.Or(wanted, like), nil
}
