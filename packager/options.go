package packager

import (
	"errors"
	"fmt"
	"time"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/mediatype"
	"laminate/packager/progress"
)

// Options say what to package, and how.
type Options struct {
	// Config names the sources; see [config.ReadPackage] and [ForBuildpack].
	Config config.Package
	// Targets, where there are any, are used instead of those in the files.
	Targets []flatten.Target
	// Fits, where it is set, tells which of the targets are wanted. It is
	// an error if none is.
	Fits func(flatten.Target) bool
	// Wishes say which buildpacks share a layer.
	Wishes flatten.Wishes
	// MaxLayers is how many layers an image may have; 0 is any number.
	MaxLayers int
	// OnConflict says which content of a buildpack is used where sources have
	// different ones; the zero value refuses them.
	OnConflict engine.OnConflict
	// Labels are added to the images.
	Labels map[string]string
	// Created is the time of the images; the zero time is [layer.Epoch].
	Created time.Time
	// Compression of the layers; the zero value is gzip.
	Compression layer.Compression
	// MediaTypes of the images; the zero value is Docker's, and OCI's with zstd.
	MediaTypes mediatype.Family
	// Previous, where it is set, is where the image is that this one replaces:
	// what it has is not built again.
	Previous *engine.PreviousImage
	// Cache keeps between runs what was made before; nil keeps nothing.
	Cache *cache.Cache
	// WorkDir takes the layers that are built. It belongs to the caller, and
	// has to stay as long as the images are in use.
	WorkDir string
	Log     progress.Log // nil is progress.Discard
}

// orDefaults fills in what was left out.
func (o Options) orDefaults() Options {
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

// family returns the media types of the images.
func (o Options) family() (mediatype.Family, error) {
	return mediatype.For(o.MediaTypes, mediatype.Docker, o.Compression.MediaType())
}

// checkLabels reports labels that are laminate's own to set.
func (o Options) checkLabels() error {
	var errs []error
	for _, key := range []string{
		flatten.BuildpackageMetadataLabel, flatten.BuildpackLayersLabel, flatten.ExtensionLayersLabel, flatten.RecipesLabelKey,
	} {
		if _, taken := o.Labels[key]; taken {
			errs = append(errs, fmt.Errorf("label %s is laminate's to set; choose another name", key))
		}
	}
	return errors.Join(errs...)
}

// ForBuildpack is the package.toml of somebody who has none: the module that
// lies at the location, and nothing else.
func ForBuildpack(kind flatten.Kind, at string) config.Package {
	return config.Package{Kind: kind, URI: at}
}

// locations parses where the root and the dependencies are. Dependencies that
// have an error have no location.
func locations(p config.Package) (root location.Location, deps []location.Location, problems config.Problems) {
	parse := location.ParseListed
	if p.File == "" { // the command line
		parse = location.ParseSource
	}
	root, err := parse(p.URI, p.Dir)
	if err != nil {
		problems = append(problems, p.Problem(err.Error(), string(p.Kind), "uri"))
	}
	for i, d := range p.Dependencies {
		at, key, parse := d.URI, "uri", location.ParseListed
		if at == "" {
			at, key, parse = d.Image, "image", location.ListedImage
		}
		loc, err := parse(at, p.Dir)
		if err != nil {
			problems = append(problems, p.Problem(err.Error(), "dependencies", i, key))
		}
		deps = append(deps, loc)
	}
	return root, deps, problems
}
