package builder

import (
	"cmp"

	"laminate/packager/config"
	"laminate/packager/engine"
)

// Options say what builder to make, and how. Without MaxLayers a builder has as
// many layers as platforms can build with (see [flatten.Budget]); without
// MediaTypes they are those of the build image.
type Options struct {
	engine.Options
	Config config.Builder
	// Lifecycle, where it is set, is where the lifecycle comes from, or a version of
	// it, whatever builder.toml says.
	Lifecycle string
	// LifecycleURL is the address of the lifecycle's release archives;
	// "" is [DefaultLifecycleURL].
	LifecycleURL string
	// SkipRunImages leaves the run images unread.
	SkipRunImages bool
	// Version is that of laminate, for the builder's metadata.
	Version string
}

// orDefaults fills in what was left out.
func (o Options) orDefaults() Options {
	o.Options = o.OrDefaults()
	o.LifecycleURL = cmp.Or(o.LifecycleURL, DefaultLifecycleURL)
	return o
}
