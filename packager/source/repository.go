package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/registry"
)

const (
	// tagLimit is the maximum number of tags of a repository. Busy ones have some thousands.
	tagLimit = 100_000
	// pageLimit is the maximum number of pages of tags; a page has 100 or 1,000.
	pageLimit = 2_000
)

// Repository is a repository of a registry, for callers that read many of its images: it logs in
// once, and reads documents only. It is safe for concurrent use.
type Repository struct {
	opener  *Opener
	written string
	name    name.Repository
	puller  *remote.Puller

	mu     sync.Mutex
	opened *registry.Session // for attachments; see session
}

// Repository returns a repository, without accessing it. All reading ends with ctx.
func (o *Opener) Repository(ctx context.Context, written string) (*Repository, error) {
	if err := location.NoSecret(written); err != nil {
		return nil, fmt.Errorf("repository %q: %w", location.Redact(written), err)
	}
	if _, err := name.NewRepository(written); err != nil {
		return nil, fmt.Errorf("repository %q: %w", written, err)
	}
	options := o.registry()
	ref, err := options.ParseReference(written)
	if err != nil {
		return nil, err
	}
	options.DocumentsOnly = true
	puller, err := remote.NewPuller(options.Remote(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", written, err)
	}
	return &Repository{opener: o, written: written, name: ref.Context(), puller: puller}, nil
}

// Tags lists the repository's tags, page by page, in the registry's order.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	lister, err := r.puller.Lister(ctx, r.name)
	if err != nil {
		return nil, r.wrong(err)
	}
	var tags []string
	for pages := 0; lister.HasNext(); pages++ {
		page, err := lister.Next(ctx)
		if err != nil {
			return nil, r.wrong(err)
		}
		if tags = append(tags, page.Tags...); len(tags) > tagLimit || pages == pageLimit {
			return nil, fmt.Errorf("%s: too many tags; the limit is %d, in %d pages", r.written, tagLimit, pageLimit)
		}
	}
	return tags, nil
}

// Image opens an image like [Opener.Image], for labels and manifest only: its layers cannot be
// read.
func (r *Repository) Image(ctx context.Context, tag string, target flatten.Target) (*image.Image, error) {
	img := r.opener.opening(ctx, r.written+":"+tag)
	img.puller = r.puller
	if err := img.openRegistry(img.Name, target); err != nil {
		return nil, err
	}
	if err := img.checkTarget(target); err != nil {
		return nil, err
	}
	return img.view()
}

func (r *Repository) wrong(err error) error {
	if registry.IsNetwork(err) {
		return registry.Explain(err, r.written)
	}
	return fmt.Errorf("%s: tags: %w", r.written, err)
}

// Digest returns the digest to which a tag points, or the zero hash if there is no such tag. It is one
// request, which does not count as a pull. Registries that do not show whether there is a tag respond
// 401 or 403, which is an error for which [IsAbsent] is true.
func (r *Repository) Digest(ctx context.Context, tag string) (v1.Hash, error) {
	ref := r.name.Tag(tag)
	d, err := r.puller.Head(ctx, ref)
	if err != nil && !registry.IsAbsent(err) && ctx.Err() == nil { // some registries answer GET only
		var got *remote.Descriptor
		if got, err = r.puller.Get(ctx, ref); err == nil {
			return got.Digest, nil
		}
	}
	var answer *transport.Error
	switch {
	case err == nil:
		return d.Digest, nil
	case ctx.Err() != nil:
		return v1.Hash{}, context.Cause(ctx)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return v1.Hash{}, nil
	}
	return v1.Hash{}, registry.Explain(err, r.written+":"+tag)
}
