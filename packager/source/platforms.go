package source

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/location"
)

// Platforms are the images of a location: one, or those of an index.
type Platforms struct {
	// Index is the digest of the index, or zero if there is none.
	Index  v1.Hash
	Images []*image.Image
}

// configJobs is how many configs are read concurrently.
const configJobs = 8

// Platforms opens the images of a location for all platforms, in the order of the index; with a
// target, the one that [Opener.Image] opens. All reading ends with ctx, including later reads of
// layers.
func (o *Opener) Platforms(ctx context.Context, loc location.Location, target flatten.Target) (*Platforms, error) {
	if target.String() != "" {
		one, err := o.open(ctx, loc, target)
		if err != nil {
			return nil, err
		}
		img, err := one.view()
		if err != nil {
			return nil, err
		}
		return &Platforms{one.index, []*image.Image{img}}, nil
	}
	opened := o.opening(ctx, loc.String())
	opened.all = true
	if err := o.openAt(ctx, opened, loc, target); err != nil {
		return nil, err
	}
	if opened.platforms == nil {
		opened.platforms = []v1.Image{opened.Image}
	}
	p := &Platforms{opened.index, make([]*image.Image, len(opened.platforms))}
	errs := make([]error, len(opened.platforms))
	var group errgroup.Group
	group.SetLimit(configJobs)
	for i, img := range opened.platforms {
		group.Go(func() error {
			raw := opened.Raw
			raw.Image = img
			p.Images[i], errs[i] = image.New(ctx, raw)
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}
