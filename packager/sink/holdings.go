package sink

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"laminate/packager/progress"
	"laminate/packager/registry"
)

// holdings are the known blobs and manifests of a repository. They include everything that its
// manifests reference: registries refuse incomplete manifests.
type holdings struct {
	refs      map[string]v1.Hash // current targets of the references to write
	manifests map[v1.Hash]bool
	blobs     map[v1.Hash]bool
}

// look reads the current targets of the references, each with one request, unless the run has just
// read it. It returns the holdings of their repositories, by name.
func (p *push) look(ctx context.Context, refs []name.Reference) (map[string]*holdings, error) {
	all := map[string]*holdings{}
	for _, ref := range refs {
		all[ref.Context().Name()] = &holdings{refs: map[string]v1.Hash{}, manifests: map[v1.Hash]bool{}, blobs: map[v1.Hash]bool{}}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, ref := range refs {
		group.Go(func() error {
			d, err := p.puller.Get(registry.RecentTags(ctx), ref)
			switch {
			case isRefused(err):
				return nil
			case err != nil:
				return registry.Explain(err, spelled(ref))
			}
			mu.Lock()
			defer mu.Unlock()
			all[ref.Context().Name()].add(ref, d)
			return nil
		})
	}
	return all, group.Wait()
}

// add adds the target of a reference and everything that it references. It ignores unreadable
// manifests.
func (h *holdings) add(ref name.Reference, d *remote.Descriptor) {
	h.refs[ref.Identifier()] = d.Digest
	h.manifests[d.Digest] = true
	if is, err := registry.MediaType(d.Manifest, d.MediaType); err == nil && is.IsIndex() {
		if index, err := registry.ParseIndex(d.Manifest); err == nil {
			for _, m := range index.Manifests {
				h.manifests[m.Digest] = true
			}
		}
		return
	}
	if m, err := registry.ParseManifest(d.Manifest); err == nil {
		for _, b := range append(m.Layers, m.Config) {
			h.blobs[b.Digest] = true
		}
	}
}

// missing are the images that a repository does not have, once that is known.
type missing struct {
	known    chan struct{} // closed
	contents []content
	blobs    map[v1.Hash]bool // of these images
	err      error
}

// missing begins to look for the images in a repository. If the repository has an image, under any
// tag, its blobs need no check.
func (p *push) missing(ctx context.Context, repo name.Repository, have *holdings) *missing {
	m := &missing{known: make(chan struct{}), blobs: map[v1.Hash]bool{}}
	go func() {
		defer close(m.known)
		m.contents, m.err = p.without(ctx, repo, have)
		for _, c := range m.contents {
			for _, b := range c.blobs() {
				m.blobs[b.digest] = true
			}
		}
	}()
	return m
}

// isKnown reports whether has returns at once. Nil stands for images that are not known yet, so that
// every blob counts.
func (m *missing) isKnown() bool {
	if m == nil {
		return true
	}
	select {
	case <-m.known:
		return true
	default:
		return false
	}
}

// has waits, and reports whether an image with a blob is missing.
func (m *missing) has(digest v1.Hash) (bool, error) {
	if m == nil {
		return true, nil
	}
	<-m.known
	return m.blobs[digest], m.err
}

// without returns the images that a repository does not have.
func (p *push) without(ctx context.Context, repo name.Repository, have *holdings) ([]content, error) {
	if p.early.isTo(repo) {
		if k, err := p.early.known(); err == nil && k.isNew {
			return p.contents, nil
		}
	}
	there := make([]bool, len(p.contents))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for i, c := range p.contents {
		if there[i] = have.manifests[c.manifest.digest]; there[i] {
			continue
		}
		group.Go(func() error {
			_, err := p.puller.Head(ctx, repo.Digest(c.manifest.digest.String()))
			there[i] = err == nil
			if isRefused(err) || !registry.IsNetwork(err) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var without []content
	for i, c := range p.contents {
		if !there[i] {
			without = append(without, c)
		}
	}
	return without, nil
}

// noteReused logs the layers of images that need not be pushed.
func (p *push) noteReused(contents []content) {
	var layers []blob
	for _, c := range contents {
		layers = append(layers, c.layers...)
	}
	for _, b := range unique(layers) {
		p.log.Note(progress.Reused, b.subject(), b.size)
	}
}

// isRefused reports whether a response means that something does not exist or is not accessible.
// Some registries respond 401 or 403 for what does not exist: Quay does so for a repository that
// the first push creates. Missing write access shows when pushing.
func isRefused(err error) bool {
	return registry.IsAbsent(err) || statusOf(err) == http.StatusMethodNotAllowed
}

// statusOf returns the HTTP status of an error, or 0.
func statusOf(err error) int {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.StatusCode
}

// isBlobUnknown reports whether a registry refused a manifest because a blob is missing.
func isBlobUnknown(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return false
	}
	for _, d := range answer.Errors {
		if d.Code == transport.ManifestBlobUnknownErrorCode || d.Code == transport.BlobUnknownErrorCode {
			return true
		}
	}
	return false
}

// isManifestRefused reports whether a registry refused a manifest, possibly because of its media
// types.
func isManifestRefused(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return false
	}
	return answer.StatusCode == http.StatusUnsupportedMediaType || answer.StatusCode == http.StatusBadRequest &&
		slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool { return d.Code == transport.ManifestInvalidErrorCode })
}
