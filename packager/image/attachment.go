package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// errAttachment is the error for a manifest that is attached to an image: a signature, an
// attestation, an SBOM.
var errAttachment = errors.New("not an image")

// isAttachment reports whether an entry of an index is marked as a signature, an attestation or
// another artifact.
func isAttachment(d v1.Descriptor) bool {
	if d.Annotations["vnd.docker.reference.type"] != "" || d.Platform != nil && d.Platform.OS == "unknown" {
		return true
	}
	return d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig()
}

// ImageOnly returns the image, or an error if it is an attachment (see errAttachment). Most
// attachments have an artifact type or a config of their own type (OCI image spec, "Guidelines for
// Artifact Usage"); cosign's signatures have an image config, and layers that are not file systems.
func ImageOnly(img v1.Image, err error) (v1.Image, error) {
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	kind := m.ArtifactType
	if kind == "" && m.Config.MediaType != "" && !m.Config.MediaType.IsConfig() {
		kind = string(m.Config.MediaType)
	}
	if kind == "" && len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, func(l v1.Descriptor) bool { return isFileSystem(l.MediaType) }) {
		kind = string(m.Layers[0].MediaType)
	}
	if kind == "" || types.MediaType(kind).IsConfig() {
		return img, nil
	}
	return nil, fmt.Errorf("%w: artifact of type %q", errAttachment, kind)
}

// isFileSystem reports whether a media type is one for image layers, supported or not.
func isFileSystem(m types.MediaType) bool {
	return m.IsLayer() || strings.HasPrefix(string(m), "application/vnd.oci.image.layer.") || strings.HasPrefix(string(m), "application/vnd.docker.image.rootfs.")
}
