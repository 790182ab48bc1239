package builder

import (
	"cmp"
	"time"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/mediatype"
	"laminate/packager/progress"
)

// Options say what builder to make, and how.
type Options struct {
	Config config.Builder
	// Targets, where there are any, are used instead of those in builder.toml.
	Targets []flatten.Target
	// Fits, where it is set, tells which of the targets are wanted. It is an
	// error if none is.
	Fits func(flatten.Target) bool
	// Wishes say which buildpacks share a layer.
	Wishes flatten.Wishes
	// MaxLayers is how many layers the builder may have, those of the build
	// image included; 0 is what platforms can build with (see [flatten.Budget]).
	MaxLayers int
	// OnConflict says which content of a buildpack or extension is used where
	// sources have different ones; the zero value refuses them.
	OnConflict engine.OnConflict
	// Labels are added to the image.
	Labels map[string]string
	// Created is the time of the images; the zero time is [layer.Epoch].
	Created time.Time
	// Compression of the layers that are built; the zero value is gzip.
	Compression layer.Compression
	// MediaTypes of the image; the zero value is those of the build image, and
	// OCI's where a layer is compressed with zstd.
	MediaTypes mediatype.Family
	// Lifecycle, where it is set, is where the lifecycle comes from, whatever
	// builder.toml says.
	Lifecycle string
	// LifecycleURL is the address of the lifecycle's release archives;
	// "" is [DefaultLifecycleURL].
	LifecycleURL string
	// SkipRunImages leaves the run images unseen.
	SkipRunImages bool
	// Version is that of laminate, for the builder's metadata.
	Version string
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
	o.LifecycleURL = cmp.Or(o.LifecycleURL, DefaultLifecycleURL)
	return o
}
