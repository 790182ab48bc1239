package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/mediatype"
)

// refName is the annotation that holds a tag in an OCI layout (OCI image
// specification, "Pre-Defined Annotation Keys").
const refName = "org.opencontainers.image.ref.name"

// indexOf returns the index of several images: a Docker manifest list if all have Docker media
// types, otherwise an OCI image index.
func indexOf(contents []content) (manifest, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: mediatype.Docker.Index()}
	var wrong []error
	seen := map[string]bool{}
	for _, c := range contents {
		if mediatype.FamilyOf(c.manifest.mediaType) == mediatype.OCI {
			index.MediaType = mediatype.OCI.Index()
		}
		platform := platformOf(c)
		if seen[platform.String()] {
			wrong = append(wrong, fmt.Errorf("index: duplicate platform %s", platform))
		}
		seen[platform.String()] = true
		d := c.manifest.descriptor()
		d.Platform = platform
		index.Manifests = append(index.Manifests, d)
	}
	if err := errors.Join(wrong...); err != nil {
		return manifest{}, err
	}
	return encode(index, index.MediaType)
}

func platformOf(c content) *v1.Platform {
	p := c.platform
	return &p
}

// encode encodes a manifest or an index.
func encode(value any, mediaType types.MediaType) (manifest, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return manifest{}, fmt.Errorf("%s: %w", mediaType, err)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	return manifest{raw: raw, mediaType: mediaType, digest: digest}, err
}

// layoutIndex returns the index.json of a layout for d, with a tag unless it is empty.
func layoutIndex(d v1.Descriptor, tag string) v1.IndexManifest {
	return v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{tagged(d, tag)},
	}
}

func tagged(d v1.Descriptor, tag string) v1.Descriptor {
	if tag != "" {
		d.Annotations = map[string]string{refName: tag}
	}
	return d
}
