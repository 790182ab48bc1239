package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/image"
	"laminate/packager/registry"
)

// Labels returns the digest of a tag or digest, which is that of the index if there is one, and the
// labels of an image there: the one for linux/amd64 if an index has it, else the first. It reads a
// manifest and a config, and of an index a manifest more.
func (r *Repository) Labels(ctx context.Context, reference string) (digest string, labels map[string]string, err error) {
	written, ref := r.written+":"+reference, name.Reference(r.name.Tag(reference))
	if strings.Contains(reference, ":") {
		written, ref = r.written+"@"+reference, r.name.Digest(reference)
	}
	raw := image.Raw{Name: written, Stored: true, Remote: true}
	c := remoteCatalog{r.name, r.puller}
	d, err := c.get(ctx, ref)
	if err != nil {
		return "", nil, raw.Error(err)
	}
	switch {
	case d.MediaType.IsIndex():
		raw.Image, err = c.likeliest(ctx, d.Manifest)
	case d.MediaType.IsImage():
		raw.Image, err = d.Image()
	default:
		err = fmt.Errorf("not an image: its media type is %q", d.MediaType)
	}
	if err != nil {
		return "", nil, raw.Error(err)
	}
	config, err := raw.Config()
	if err != nil {
		return "", nil, err
	}
	return d.Digest.String(), config.Config.Labels, nil
}

// likeliest opens the image of an index for linux/amd64, or else the first image.
func (c remoteCatalog) likeliest(ctx context.Context, document []byte) (v1.Image, error) {
	index, err := registry.ParseIndex(document)
	if err != nil {
		return nil, err
	}
	var found *v1.Descriptor
	for _, d := range index.Manifests {
		p := d.Platform
		if !d.MediaType.IsImage() || p != nil && p.OS == "unknown" {
			continue // an attestation, or an index
		}
		amd64 := p != nil && p.OS == "linux" && p.Architecture == "amd64"
		if found == nil || amd64 {
			found = &d
		}
		if amd64 {
			break
		}
	}
	if found == nil {
		return nil, errors.New("an index without images")
	}
	return c.Image(ctx, *found)
}
