package release

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/source"
)

// Options are the options of [Prepare].
type Options struct {
	// Config is what to release.
	Config config.Release
	// Version is that of the release, and may be "" as long as nothing has changed.
	Version string
	// Force lets version tags move that point to something else, and releases what has not changed.
	Force bool
	// Engine has the cache, the work directory, the log and other options of all images. What
	// Config says of an image takes precedence.
	Engine engine.Options
	// Open opens sources, and what was released.
	Open *source.Opener
	// Registry writes to registries.
	Registry Registry
	// LifecycleURL and Creator are the options LifecycleURL and Version of builders.
	LifecycleURL, Creator string
	// Digest returns the digest of images in a registry: that of the manifest, or of the index of
	// several.
	Digest func(images []Image) (v1.Hash, error)
	// BuilderID is a URI of who runs the release, for the provenance; "" means urn:laminate:release.
	BuilderID string
	// Sign signs an image, after all tests; nil signs nothing.
	Sign func(ctx context.Context, repository string, digest v1.Hash) error
}

// Registry writes to registries. Repositories are written as HOST/REPOSITORY.
type Registry interface {
	// Push writes images, or the index of several, by digest, unless they are there.
	Push(ctx context.Context, repository string, images []Image) error
	// Tag points tags to a digest that the repository has, in this order. With keep, a tag that points
	// to something else is an error.
	Tag(ctx context.Context, repository string, digest v1.Hash, tags []string, keep bool) error
	// Attach attaches documents to a digest that the repository has, unless they are attached.
	Attach(ctx context.Context, repository string, digest v1.Hash, documents []Document) error
}

// Image is an image and its target.
type Image struct {
	v1.Image
	Target flatten.Target
}
