package sink

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/registry"
)

// Digest returns the digest of the images in a registry: that of the manifest, or of the index of
// several.
func Digest(images []Image) (v1.Hash, error) {
	contents, err := readAll(images)
	if err != nil {
		return v1.Hash{}, err
	}
	top, err := topOf(contents)
	return top.digest, err
}

// topOf returns the manifest of one image, or the index of several.
func topOf(contents []content) (manifest, error) {
	if len(contents) == 1 {
		return contents[0].manifest, nil
	}
	return indexOf(contents)
}

// Tag points tags of a repository, written as HOST/REPOSITORY, to an image or index that it has. It
// moves no blobs, and leaves a tag alone that points there already. With keep, a tag that points to
// something else is an error. Tags are written in their order; the error names the one that was not.
func Tag(ctx context.Context, repository string, digest v1.Hash, tags []string, keep bool, o Options) error {
	p, err := newPush(ctx, o.orDefaults())
	if err != nil {
		return err
	}
	at, err := p.speak.ParseReference(repository + "@" + digest.String())
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	d, err := p.puller.Get(ctx, at)
	if err != nil {
		return registry.Explain(err, spelled(at))
	}
	top := manifest{raw: d.Manifest, digest: d.Digest}
	if top.mediaType, err = registry.MediaType(d.Manifest, d.MediaType); err != nil {
		return fmt.Errorf("%s: %w", spelled(at), err)
	}
	for _, tag := range tags {
		ref, err := p.speak.ParseReference(repository + ":" + tag)
		if err != nil {
			return fmt.Errorf("output: %w", err)
		}
		var before v1.Hash
		now, err := p.puller.Head(ctx, ref)
		switch {
		case err == nil && now.Digest == digest:
			continue
		case err == nil && keep:
			return fmt.Errorf("tag %s points to %s, not to %s", spelled(ref), now.Digest, digest)
		case err == nil:
			before = now.Digest
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := p.tag(ctx, naming{ref, top}, before); err != nil {
			return p.explain(err, ref)
		}
	}
	return nil
}
