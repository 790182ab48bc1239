package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// MediaType returns the media type of a manifest or an index. As in containerd, it is the
// document's mediaType field. Without that field, the other fields determine whether it is a
// manifest or an index, and the Content-Type of the response (without parameters) whether it is
// OCI's or Docker's type. The Content-Type alone is unreliable: some registries send
// "application/json" or "text/plain", or add a charset.
func MediaType(document []byte, contentType types.MediaType) (types.MediaType, error) {
	var d struct {
		MediaType types.MediaType `json:"mediaType"`
		Config    json.RawMessage `json:"config"`
		Layers    json.RawMessage `json:"layers"`
		FSLayers  json.RawMessage `json:"fsLayers"`
		Manifests json.RawMessage `json:"manifests"`
	}
	answered, _, err := mime.ParseMediaType(string(contentType))
	if err != nil {
		answered = ""
	}
	header := types.MediaType(answered)
	if err := json.Unmarshal(document, &d); err != nil {
		if header.IsImage() || header.IsIndex() {
			return "", fmt.Errorf("invalid manifest: %w", err)
		}
		return header, nil
	}
	isIndex, isImage := d.Manifests != nil, d.Config != nil || d.Layers != nil
	switch {
	case d.FSLayers != nil || d.MediaType.IsSchema1():
		return "", errors.New("unsupported manifest of schema version 1; push the image again with a current tool")
	case isIndex && isImage:
		// An ambiguous document could be checked as one kind and used as the other.
		return "", errors.New("ambiguous manifest: fields of both an image and an index")
	case d.MediaType.IsIndex() && isImage, d.MediaType.IsImage() && isIndex:
		return "", fmt.Errorf("invalid manifest: its fields contradict its media type %q", d.MediaType)
	case d.MediaType != "":
		return d.MediaType, nil
	case isIndex && header == types.DockerManifestList, isImage && header == types.DockerManifestSchema2:
		return header, nil
	case isIndex:
		return types.OCIImageIndex, nil
	case isImage:
		return types.OCIManifestSchema1, nil
	}
	return header, nil
}
