package source

import (
	"context"
	"errors"

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

// view returns the opened image.
func (i *opening) view() (*image.Image, error) { return image.New(i.ctx, i.Raw) }
