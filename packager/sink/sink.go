// Package sink writes images to wherever a [location.Location] says: files,
// OCI layouts, registries and the Docker daemon. An output appears whole or
// not at all, what a blob holds is checked against its digest while it is
// written, and no blob is ever held in memory.
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

// defaultJobs is how many blobs travel at once where Options say nothing else.
const defaultJobs = 4

// Options say how to write. The zero value works.
type Options struct {
	// Keychain, Transport, Insecure, Stall and Pause say how to speak to
	// registries (see [registry.Options]).
	Keychain  authn.Keychain
	Transport http.RoundTripper
	Insecure  []string
	Stall     time.Duration
	Pause     time.Duration
	// Daemon says where the Docker daemon is.
	Daemon daemon.Options
	// Tags are more references that get what the destination gets: in
	// registries for one, in the Docker daemon or the docker-archive for those.
	Tags []string
	// Suffix returns each image of an index in a registry a tag of its own, which
	// ends in its target.
	Suffix bool
	// Log is told what happens; nil is progress.Discard.
	Log progress.Log
	// Jobs is how many blobs travel at once; 0 is 4.
	Jobs int
}

// Image is an image and the target that it is for.
type Image struct {
	v1.Image
	Target flatten.Target
}

// Write writes the images to dest, and tells what it wrote in order: the
// destination first, then Options.Tags, then the tags that Options.Suffix adds.
//
// One image makes one output. Of several, a registry and an OCI layout get an
// image index; files get one each, named after the target; the Docker daemon
// gets the one that it can run. OCI layouts and archives get OCI media types,
// which every tool that reads them insists on; elsewhere, in a .cnb file too,
// manifests stay as they are.
//
// On any error, cancellation included, there is
// no output, and what stood in its place before stands there still; a registry
// may keep blobs and manifests that no tag names.
func Write(ctx context.Context, dest location.Location, images []Image, o Options) ([]Written, error) {
	if o.Log == nil {
		o.Log = progress.Discard
	}
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	contents, err := readAll(images)
	if err != nil {
		return nil, err
	}
	targets := make([]flatten.Target, len(images))
	for i, img := range images {
		targets[i] = img.Target
	}
	if err := Check(dest, targets, o); err != nil {
		return nil, err
	}
	switch dest.Kind {
	case location.Path, location.OCIArchive, location.DockerArchive:
		return writeFiles(ctx, dest, contents, o)
	case location.OCILayout:
		return writeLayout(ctx, dest, contents, o)
	case location.Registry:
		return writeRegistry(ctx, dest, contents, o)
	case location.Daemon:
		return writeDaemon(ctx, dest, contents, o)
	}
	return nil, fmt.Errorf("output %s: images cannot be written there", dest)
}

func (o Options) registry() registry.Options {
	return registry.Options{Keychain: o.Keychain, Transport: o.Transport, Insecure: o.Insecure, Stall: o.Stall, Pause: o.Pause}
}

// tags reads the references that name an image in a Docker daemon or archive:
// ref, where it is not empty, and then the options' tags, each once.
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

// spelled writes a reference as its author did, the tag always included.
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
