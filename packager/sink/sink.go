// Package sink writes images to files, OCI layouts, registries and the Docker daemon. Outputs are
// written atomically, blobs are verified while they are written, and no layer is held in memory.
package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/daemon"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// layoutJobs is how many blobs are written into an OCI layout concurrently.
const layoutJobs = 4

// Options are the options of [Write]. The zero value works.
type Options struct {
	// Keychain, Pool, Transport, Insecure, Stall and Pause configure access to registries (see
	// [registry.Options]).
	Keychain  authn.Keychain
	Pool      *registry.Pool
	Transport http.RoundTripper
	Insecure  []string
	Stall     time.Duration
	Pause     time.Duration
	// Daemon locates the Docker daemon.
	Daemon daemon.Options
	// Tags are additional references for the output: in registries if the destination is one, in
	// the Docker daemon or the docker-archive otherwise.
	Tags []string
	// Suffix adds a tag for each image of an index in a registry, with its target as suffix.
	Suffix bool
	// Previous is the reference of the image whose layers the new ones reuse, if that is in a
	// registry. [Begin] concludes which layers the repository of the destination cannot have.
	Previous string
	// Log receives progress; nil means progress.Discard.
	Log progress.Log
	// Jobs is how many blobs are transferred to a registry concurrently, as far as the pool lets them;
	// 0 means registry.MostJobs. Into an OCI layout four are written at most.
	Jobs int
}

// Image is an image and its target.
type Image struct {
	v1.Image
	Target flatten.Target
}

// Write writes the images to dest, and returns the outputs in order: the destination first, then
// Options.Tags, then the tags of Options.Suffix.
//
// Several images become an image index in a registry or an OCI layout, and one file each, named
// after the target, otherwise; the Docker daemon gets the image for its platform. Images in OCI
// layouts and archives get OCI media types, which their readers require; elsewhere, including .cnb
// files, manifests are unchanged.
//
// On any error, including cancellation, there is no output, and an existing output is unchanged; a
// registry may keep untagged blobs and manifests.
func Write(ctx context.Context, dest location.Location, images []Image, o Options) ([]Written, error) {
	b, err := begin(ctx, dest, o)
	if err != nil {
		return nil, err
	}
	return b.Write(ctx, images)
}

// Begun is an output whose images are not complete yet.
type Begun struct {
	dest    location.Location
	options Options
	refs    []name.Reference // of a registry
	push    *push            // nil unless it is one
}

// Begin prepares to write images to dest, whose layers may be passed to [Begun.Ready] as soon as they
// are known. The context that it returns must be used to make the images, and ends with the first
// error of the output. The caller must call End.
func Begin(ctx context.Context, dest location.Location, o Options) (*Begun, context.Context, error) {
	b, err := begin(ctx, dest, o)
	if err != nil || b.push == nil {
		return b, ctx, err
	}
	var previous name.Reference
	if o.Previous != "" {
		if previous, err = b.push.speak.ParseReference(o.Previous); err != nil {
			return nil, nil, fmt.Errorf("previous image: %w", err)
		}
	}
	b.push.early, ctx = newEarly(ctx, b.push, b.refs, previous)
	return b, ctx, nil
}

// begin parses the references.
func begin(ctx context.Context, dest location.Location, o Options) (*Begun, error) {
	b := &Begun{dest: dest, options: o.orDefaults()}
	if dest.Kind != location.Registry {
		return b, nil
	}
	var err error
	if b.refs, err = pushRefs(dest, b.options); err != nil {
		return nil, err
	}
	b.push, err = newPush(ctx, b.options)
	return b, err
}

// Ready tells of a layer of an image. It is uploaded to a registry in the background, even while it is
// being built; it is ignored by other destinations. It is safe for concurrent use.
func (b *Begun) Ready(l v1.Layer) {
	if b.push != nil {
		b.push.early.ready(l)
	}
}

// Write writes the images, see [Write]. It may be called once.
func (b *Begun) Write(ctx context.Context, images []Image) ([]Written, error) {
	contents, err := readAll(images)
	if err != nil {
		return nil, err
	}
	targets := make([]flatten.Target, len(images))
	for i, img := range images {
		targets[i] = img.Target
	}
	dest, o := b.dest, b.options
	if err := Check(dest, targets, o); err != nil {
		return nil, err
	}
	switch dest.Kind {
	case location.Path, location.OCIArchive, location.DockerArchive:
		return writeFiles(ctx, dest, contents, o)
	case location.OCILayout:
		return writeLayout(ctx, dest, contents, o)
	case location.Registry:
		return b.push.write(ctx, b.refs, contents, o)
	case location.Daemon:
		return writeDaemon(ctx, dest, contents, o)
	}
	return nil, fmt.Errorf("output %s: unsupported destination", dest)
}

// Err returns the error of making or writing the images: err, or the error of the output that has
// ended the context of [Begin] before.
func (b *Begun) Err(err error) error {
	if err == nil || b.push == nil {
		return err
	}
	if failed := b.push.early.err(); failed != nil {
		return b.push.explain(failed, b.refs[0])
	}
	return err
}

// End ends what has begun and is not written. Files of layers are not read afterwards.
func (b *Begun) End() {
	if b.push != nil {
		b.push.early.close()
	}
}

func (o Options) orDefaults() Options {
	if o.Log == nil {
		o.Log = progress.Discard
	}
	if o.Jobs <= 0 {
		o.Jobs = registry.MostJobs
	}
	return o
}

func (o Options) registry() registry.Options {
	return registry.Options{Keychain: o.Keychain, Pool: o.Pool, Transport: o.Transport, Insecure: o.Insecure, Stall: o.Stall, Pause: o.Pause}
}

// tags parses the references of an image in a Docker daemon or archive: ref, unless it is empty,
// then the options' tags, without duplicates.
func (o Options) tags(ref string) ([]name.Tag, error) {
	var all []name.Tag
	var wrong []error
	seen := map[string]bool{}
	written := o.Tags
	if ref != "" {
		written = append([]string{ref}, written...)
	}
	for _, s := range written {
		if err := location.NoSecret(s); err != nil {
			wrong = append(wrong, fmt.Errorf("tag %q: %w", location.Redact(s), err))
			continue
		}
		tag, err := name.NewTag(s)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("tag %q: %w", s, err))
		case !seen[tag.Name()]:
			seen[tag.Name()] = true
			all = append(all, tag)
		}
	}
	return all, errors.Join(wrong...)
}

// spelled returns a reference as the user wrote it, always with a tag.
func spelled(ref name.Reference) string {
	if tag, ok := ref.(name.Tag); ok {
		s := tag.String()
		if suffix := ":" + tag.TagStr(); len(s) < len(suffix) || s[len(s)-len(suffix):] != suffix {
			return s + suffix
		}
		return s
	}
	return ref.String()
}
