// Package mediatype maps between Docker's and OCI's media types. Both families describe the same
// bytes, so the image ID is the same under either; only the manifest and its digest change.
package mediatype

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Family is a set of media types that are used together in one image. The zero value means any that
// fits the image.
type Family string

// The two families.
const (
	Docker Family = "docker"
	OCI    Family = "oci"
)

// Parse parses the name of a family.
func Parse(s string) (Family, error) {
	switch f := Family(s); f {
	case Docker, OCI:
		return f, nil
	}
	return "", fmt.Errorf("invalid media types %q; use docker or oci", s)
}

// String returns the name of the family for messages: Docker, OCI.
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

// dockerZstdLayer is a media type that some tools use for zstd layers. Docker does not define one.
const dockerZstdLayer types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// names pairs equivalent media types.
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

// Of returns the family's equivalent of a media type of either family. It returns other media types
// unchanged.
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

// For returns the family of an image with these layers: wanted, or like if wanted is empty; always
// OCI if a layer is compressed with zstd, which has only an OCI media type.
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
