package engine

import (
	"errors"
	"fmt"
	"time"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/mediatype"
	"laminate/packager/progress"
)

// Options are those that all recipes have.
type Options struct {
	// Targets, where there are any, are used instead of those in the files.
	Targets []flatten.Target
	// Fits, where it is set, reports whether the destination takes a target. It
	// is an error if it takes none.
	Fits func(flatten.Target) bool
	// Grouping say which buildpacks share a layer.
	Grouping flatten.Grouping
	// MaxLayers is how many layers an image may have, those of a build image
	// included. What 0 means is the recipe's.
	MaxLayers int
	// OnConflict says which content of a buildpack or extension is used where
	// sources have different ones; the zero value refuses them.
	OnConflict OnConflict
	// Labels are added to the images.
	Labels map[string]string
	// Created is the time of the images; the zero time is [layer.Epoch].
	Created time.Time
	// Compression of the layers that are built; the zero value is gzip.
	Compression layer.Compression
	// MediaTypes of the images; the zero value is the recipe's choice, and OCI's
	// with zstd.
	MediaTypes mediatype.Family
	// Previous, where it is set, is where the image is that the new one replaces:
	// what it has is not built again.
	Previous *PreviousImage
	// Cache keeps between runs what was made before; nil keeps nothing.
	Cache *cache.Cache
	// WorkDir takes the layers that are built. It belongs to the caller, and
	// has to stay as long as the images are in use.
	WorkDir string
	Log     progress.Log // nil is progress.Discard
}

// OrDefaults fills in what was left out.
func (o Options) OrDefaults() Options {
	if o.Created.IsZero() {
		o.Created = layer.Epoch
	}
	if o.Compression == layer.Uncompressed {
		o.Compression = layer.Gzip
	}
	if o.Log == nil {
		o.Log = progress.Discard
	}
	return o
}

// CheckLabels reports labels of the user that are the recipe's to set.
func (o Options) CheckLabels(own ...string) error {
	var errs []error
	for _, key := range own {
		if _, taken := o.Labels[key]; taken {
			errs = append(errs, fmt.Errorf("label %s is laminate's to set; choose another name", key))
		}
	}
	return errors.Join(errs...)
}
