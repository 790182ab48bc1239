package source

import (
	"context"

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
	puller          *remote.Puller // of its repository; nil where there is no login yet
}

// IsTimeout reports whether opening an image failed because its registry did not
// answer in time.
func IsTimeout(err error) bool { return registry.IsTimeout(err) }

// checkTarget returns an error where the image is for another platform than is
// wanted.
func (i *opening) checkTarget(want flatten.Target) error {
	c, err := i.Config()
	if err != nil {
		return err
	}
	return image.CheckTarget(i.Name, c, want)
}

// view returns the image that was opened.
func (i *opening) view() (*image.Image, error) { return image.New(i.ctx, i.Raw) }
