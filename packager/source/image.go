package source

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/registry"
)

// opening is an image that is being opened.
type opening struct {
	image.Raw
	ctx             context.Context
	registryOptions registry.Options
	puller          *remote.Puller // of its repository; nil before the first login
	// all asks for the images of an index for all platforms, which choose keeps in platforms.
	all       bool
	platforms []v1.Image
	index     v1.Hash // the digest of the index, if there is one
}

// IsTimeout reports whether opening an image failed because its registry did not respond in time.
func IsTimeout(err error) bool { return registry.IsTimeout(err) }

// IsAbsent reports whether an image does not exist or is not accessible: in its registry, or in the
// Docker daemon, which must not pull it.
func IsAbsent(err error) bool { return errors.Is(err, ErrNotThere) || registry.IsAbsent(err) }

// checkTarget returns an error if the platform of the image does not match the target.
func (i *opening) checkTarget(want flatten.Target) error {
	c, err := i.Config()
	if err != nil {
		return err
	}
	return image.CheckTarget(i.Name, c, want)
}

// choose chooses the image for the target from an index, or keeps all.
func (i *opening) choose(c image.Catalog, index *v1.IndexManifest, holds image.Holding, target flatten.Target) (err error) {
	if !i.all {
		i.Image, err = image.Pick(i.ctx, c, index, holds, target)
		return err
	}
	if i.platforms, err = image.All(i.ctx, c, index, holds); err != nil {
		return err
	}
	i.Image = i.platforms[0]
	return nil
}

// view returns the opened image.
func (i *opening) view() (*image.Image, error) { return image.New(i.ctx, i.Raw) }
