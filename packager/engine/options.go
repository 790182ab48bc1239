package engine

import (
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/mediatype"
	"laminate/packager/progress"
)

// Options are the common options of buildpackages and builders.
type Options struct {
	// Targets, if any, replace those in the files.
	Targets []flatten.Target
	// Fits, if set, reports whether the destination supports a target. It is an error if it
	// supports none.
	Fits func(flatten.Target) bool
	// Grouping determines which buildpacks share a layer.
	Grouping flatten.Grouping
	// MaxLayers is the maximum number of layers of an image, including those of a build image. The
	// recipe decides what 0 means.
	MaxLayers int
	// OnConflict selects the content to use if sources have different contents; the zero value
	// means an error.
	OnConflict OnConflict
	// Labels are added to the images.
	Labels map[string]string
	// Created is the creation time of the images; the zero time means [layer.Epoch].
	Created time.Time
	// Compression is that of built layers; the zero value means gzip.
	Compression layer.Compression
	// MediaTypes are those of the images. The zero value means the recipe's choice, and OCI media
	// types with zstd.
	MediaTypes mediatype.Family
	// Previous, if set, is the location of the image to replace, whose layers are reused.
	Previous *PreviousImage
	// Cache keeps layers between runs; nil keeps nothing.
	Cache *cache.Cache
	// WorkDir is the directory for built layers. The caller owns it, and must keep it as long as
	// the images are in use.
	WorkDir string
	// Ready, if set, is called with layers of the image before the image is complete, concurrently and
	// in any order: those that exist, and those that are being built, each a *[layer.Growing].
	Ready func(v1.Layer)
	Log   progress.Log // nil means progress.Discard
}

// OrDefaults returns the options with defaults.
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
	if o.Ready == nil {
		o.Ready = func(v1.Layer) {}
	}
	return o
}

// CheckLabels returns an error for labels of the user that the recipe itself sets.
func (o Options) CheckLabels(own ...string) error {
	var errs []error
	for _, key := range own {
		if _, taken := o.Labels[key]; taken {
			errs = append(errs, fmt.Errorf("label %s is reserved; choose another name", key))
		}
	}
	return errors.Join(errs...)
}
