package update

import (
	"context"
	"sync"
)

// Registry reads from registries. Repositories are written as in image references.
type Registry interface {
	// Tags lists the tags of a repository.
	Tags(ctx context.Context, repository string) ([]string, error)
	// Digest returns the digest of a tag, or "" if there is no such tag.
	Digest(ctx context.Context, repository, tag string) (string, error)
	// Labels returns the digest of a tag or digest, which may be that of an index, and the labels
	// of an image there.
	Labels(ctx context.Context, repository, reference string) (digest string, labels map[string]string, err error)
}

// asked is what registries have said: each question is asked once, also if the answer is an error.
type asked struct {
	registry Registry

	mu     sync.Mutex
	tags   map[string]func() ([]version, error)
	images map[string]func() (described, error)
}

// described is an image in a registry.
type described struct {
	digest string
	labels map[string]string
}

// versions returns the tags of a repository that are versions.
func (a *asked) versions(ctx context.Context, i image) ([]version, error) {
	a.mu.Lock()
	ask := a.tags[i.canonical()]
	if ask == nil {
		ask = sync.OnceValues(func() ([]version, error) {
			tags, err := a.registry.Tags(ctx, i.repository)
			var versions []version
			for _, t := range tags {
				if v, is := parseVersion(t); is {
					versions = append(versions, v)
				}
			}
			return versions, err
		})
		a.tags[i.canonical()] = ask
	}
	a.mu.Unlock()
	return ask()
}

// describe returns an image by tag or digest.
func (a *asked) describe(ctx context.Context, i image, reference string) (described, error) {
	key := i.canonical() + " " + reference
	a.mu.Lock()
	ask := a.images[key]
	if ask == nil {
		ask = sync.OnceValues(func() (described, error) {
			digest, labels, err := a.registry.Labels(ctx, i.repository, reference)
			return described{digest, labels}, err
		})
		a.images[key] = ask
	}
	a.mu.Unlock()
	return ask()
}
