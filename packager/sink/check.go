package sink

import (
	"errors"
	"fmt"

	"laminate/flatten"
	"laminate/packager/location"
)

// Check returns errors that would prevent writing images for the targets to dest, as far as they
// can be found without the images and without network, before images are built.
func Check(dest location.Location, targets []flatten.Target, o Options) error {
	switch dest.Kind {
	case location.Path, location.OCIArchive, location.DockerArchive:
		names, err := fileNames(dest.Path, targets)
		errs := []error{err, o.tagsFit(dest)}
		for _, file := range names {
			_, err := placeFor(file)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	case location.OCILayout:
		_, _, err := inspectLayout(dest.Path)
		return errors.Join(err, o.tagsFit(dest))
	case location.Registry:
		var errs []error
		for _, s := range append([]string{dest.Ref}, o.Tags...) {
			if _, err := o.registry().ParseReference(s); err != nil {
				errs = append(errs, fmt.Errorf("output: %w", err))
			}
		}
		return errors.Join(errs...)
	}
	return o.tagsFit(dest)
}

// tagsFit returns an error if the destination, which is not a registry, does not support the tags.
func (o Options) tagsFit(dest location.Location) error {
	if dest.Kind != location.Daemon && dest.Kind != location.DockerArchive {
		if len(o.Tags) > 0 {
			return fmt.Errorf("output %s: more than one tag requires a registry, a Docker daemon or a docker-archive", dest)
		}
		return nil
	}
	if _, err := o.tags(dest.Ref); err != nil {
		return fmt.Errorf("output %s: %w", dest, err)
	}
	return nil
}
