package engine

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// Source is the location of a buildpack, an extension or a package.
type Source struct {
	location.Location
	Kind flatten.Kind
	// At is where the source is named: file and position; the zero value on the command line.
	At config.Problem
}

// Locate parses a source in a TOML file in dir: either uri or image, the older key for images. It
// also returns the key.
func Locate(uri, image, dir string) (loc location.Location, key string, err error) {
	if uri == "" {
		loc, err = location.ListedImage(image, dir)
		return loc, "image", err
	}
	loc, err = location.ParseListed(uri, dir)
	return loc, "uri", err
}

// openJobs is how many sources are opened concurrently that are not images in registries. Those only
// wait for registries, and the opener limits their requests.
const openJobs = 4

// OpenAll opens sources for a target, and returns packages in their order. It tries all, and joins
// their errors.
func OpenAll(ctx context.Context, open *source.Opener, sources []Source, target flatten.Target) ([]*image.Package, error) {
	packages, errs := make([]*image.Package, len(sources)), make([]error, len(sources))
	var remote, others errgroup.Group
	others.SetLimit(openJobs)
	for _, first := range []bool{true, false} {
		for i, s := range sources {
			if open.IsRemote(s.Location) != first {
				continue
			}
			group := &others
			if first {
				group = &remote
			}
			group.Go(func() error {
				var err error
				packages[i], err = open.Package(ctx, s.Location, s.Kind, target)
				errs[i] = WithPlace(s.At, err)
				return nil
			})
		}
	}
	_, _ = others.Wait(), remote.Wait() // the errors are in errs
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return packages, errors.Join(errs...)
}
