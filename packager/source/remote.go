package source

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/registry"
)

// remoteCatalog is a repository of a registry.
type remoteCatalog struct {
	repository name.Repository
	puller     *remote.Puller // logs in once
}

// openRegistry opens an image of a registry.
func (i *opening) openRegistry(ref string, target flatten.Target) error {
	i.Remote, i.Stored = true, true
	parsed, err := i.parseReference(ref)
	if err != nil {
		return err
	}
	i.Repository = parsed.Context().Name()
	puller, reading := i.puller, i.ctx
	if puller == nil {
		reading = registry.RecentTags(reading)
		if puller, err = remote.NewPuller(i.registryOptions.Remote(i.ctx)...); err != nil {
			return i.Error(err)
		}
	}
	c := remoteCatalog{parsed.Context(), puller}
	d, err := c.get(reading, parsed)
	switch {
	case err != nil:
	case d.MediaType.IsIndex():
		var index *v1.IndexManifest
		if index, err = registry.ParseIndex(d.Manifest); err == nil {
			i.index = d.Digest
			err = i.choose(c, index, image.OneName, target)
		}
	case d.MediaType.IsImage():
		i.Image, err = image.ImageOnly(d.Image())
	default:
		err = fmt.Errorf("not an image: its media type is %q", d.MediaType)
	}
	if err != nil {
		return i.Error(err)
	}
	return nil
}

// get fetches a manifest or an index, and verifies a digest. The media type is that of the
// document, not the Content-Type of the response.
func (c remoteCatalog) get(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	d, err := c.puller.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := registry.CheckDocument(d.Manifest); err != nil {
		return nil, err
	}
	d.MediaType, err = registry.MediaType(d.Manifest, d.MediaType)
	return d, err
}

// subIndex implements catalog.
func (c remoteCatalog) SubIndex(ctx context.Context, d v1.Descriptor) (*v1.IndexManifest, error) {
	got, err := c.get(ctx, c.repository.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	return registry.ParseIndex(got.Manifest)
}

// image implements catalog.
func (c remoteCatalog) Image(ctx context.Context, d v1.Descriptor) (v1.Image, error) {
	got, err := c.get(ctx, c.repository.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	return got.Image()
}
