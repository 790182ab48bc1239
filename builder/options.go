package builder

import (
	"cmp"

	"laminate/packager/config"
	"laminate/packager/engine"
)

// Options are the options of [Prepare]. The default of MaxLayers is what platforms can build with
// (see [flatten.Budget]); the default media types are those of the build image.
type Options struct {
	engine.Options
	Config config.Builder
	// Lifecycle, if set, is the location or the version of the lifecycle; it overrides
	// builder.toml.
	Lifecycle string
	// LifecycleURL is the template of the addresses of release archives; "" means
	// [DefaultLifecycleURL].
	LifecycleURL string
	// SkipRunImages skips the check of run images.
	SkipRunImages bool
	// Version is laminate's version, for the builder's metadata.
	Version string
}

// orDefaults returns the options with defaults.
func (o Options) orDefaults() Options {
	o.Options = o.OrDefaults()
	o.LifecycleURL = cmp.Or(o.LifecycleURL, DefaultLifecycleURL)
	return o
}
