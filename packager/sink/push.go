package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"laminate/packager/location"
	"laminate/packager/mediatype"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// write pushes to the repositories of the references, the destination's and the tags': blobs, then
// manifests by digest, then the index by digest. Only when all repositories are complete are the tags
// moved, so that no tag refers to an incomplete image. It skips what exists already, and what was
// uploaded early.
func (p *push) write(ctx context.Context, refs []name.Reference, contents []content, o Options) ([]Written, error) {
	top, err := topOf(contents)
	if err != nil {
		return nil, err
	}
	p.contents, p.top = contents, top
	if d, is := refs[0].(name.Digest); is && d.DigestStr() != top.digest.String() {
		return nil, fmt.Errorf("output %s: digest of the image is %s", spelled(d), top.digest)
	}
	names, err := suffixed(refs, contents, o)
	if err != nil {
		return nil, err
	}
	have, err := p.look(ctx, append(refsOf(names), refs...))
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	var from name.Reference
	for _, ref := range refs {
		if repo := ref.Context(); !done[repo.Name()] {
			if err := p.repository(ctx, repo, from, have[repo.Name()], hasTag(refs, repo)); err != nil {
				return nil, p.explain(err, ref)
			}
			done[repo.Name()] = true
			from = repo.Digest(top.digest.String())
		}
	}
	suffixed := len(names)
	for _, ref := range refs {
		names = append(names, naming{ref, top})
	}
	var written []Written
	for _, n := range names {
		if before := have[n.ref.Context().Name()].refs[n.ref.Identifier()]; before != n.manifest.digest {
			if err := p.tag(ctx, n, before); err != nil {
				return nil, p.explain(err, n.ref)
			}
		}
		written = append(written, Written{
			Digest: n.manifest.digest, Destination: "docker://" + spelled(n.ref),
			MediaType: n.manifest.mediaType, Images: holding(n.manifest, contents),
		})
	}
	return slices.Concat(written[suffixed:], written[:suffixed]), nil
}

// hasTag reports whether one of the references is a tag in the repository.
func hasTag(refs []name.Reference, repo name.Repository) bool {
	return slices.ContainsFunc(refs, func(ref name.Reference) bool {
		_, is := ref.(name.Tag)
		return is && ref.Context().Name() == repo.Name()
	})
}

func refsOf(names []naming) []name.Reference {
	var refs []name.Reference
	for _, n := range names {
		refs = append(refs, n.ref)
	}
	return refs
}

// pushRefs parses all references before the first byte is sent: the destination's, then the tags',
// without duplicates.
func pushRefs(dest location.Location, o Options) ([]name.Reference, error) {
	speak := o.registry()
	var refs []name.Reference
	var wrong []error
	seen := map[string]bool{}
	for i, s := range append([]string{dest.Ref}, o.Tags...) {
		ref, err := speak.ParseReference(s)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("output: %w", err))
			continue
		}
		if _, ok := ref.(name.Digest); ok && i > 0 {
			wrong = append(wrong, fmt.Errorf("output %s: invalid tag: it is a digest", s))
		}
		if !seen[ref.Name()] {
			seen[ref.Name()] = true
			refs = append(refs, ref)
		}
	}
	return refs, errors.Join(wrong...)
}

// A push pushes one image, or the index of several, to registries.
type push struct {
	contents []content
	top      manifest
	jobs     int
	log      progress.Log
	speak    registry.Options
	remote   []remote.Option
	pusher   *remote.Pusher
	// mounter also requests read access to other repositories. It is separate from the pusher, so
	// that a refusal does not affect normal pushes.
	mounter     *remote.Pusher
	unmountable sync.Map // repositories that refuse mounts, by name
	puller      *remote.Puller
	early       *early // nil without early uploads
}

func newPush(ctx context.Context, o Options) (*push, error) {
	p := &push{jobs: o.Jobs, log: o.Log, speak: o.registry()}
	p.remote = append(p.speak.Remote(ctx), remote.WithPageSize(1))
	var err error
	for _, pusher := range []**remote.Pusher{&p.pusher, &p.mounter} {
		if *pusher, err = remote.NewPusher(p.remote...); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}
	if p.puller, err = remote.NewPuller(p.remote...); err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return p, nil
}

// explain returns errors of our own blobs unchanged; all others are the registry's.
func (p *push) explain(err error, ref name.Reference) error {
	var bad *blobError
	if errors.As(err, &bad) {
		return bad
	}
	refused := isManifestRefused(err) && p.contents != nil
	err = registry.Explain(err, spelled(ref))
	if refused {
		has := mediatype.FamilyOf(p.top.mediaType)
		return fmt.Errorf("%w; the image has %s media types: if the registry takes %s ones only, use --media-types %s",
			err, has, has.Other(), string(has.Other()))
	}
	return err
}

// repository pushes everything but tags to a repository, as far as it is missing. Blobs that were
// pushed to another repository of the same registry before (from, or nil) are mounted. Tagged means
// that a tag of the repository is written next.
func (p *push) repository(ctx context.Context, repo name.Repository, from name.Reference, have *holdings, tagged bool) error {
	if !have.manifests[p.top.digest] {
		return p.bring(ctx, repo, from, have, tagged)
	}
	p.noteReused(p.contents)
	return nil
}

func (p *push) bring(ctx context.Context, repo name.Repository, from name.Reference, have *holdings, tagged bool) error {
	missing := p.missing(ctx, repo, have)
	if err := p.uploadAll(ctx, repo, from, have.blobs, missing); err != nil {
		return err
	}
	if <-missing.known; missing.err != nil {
		return missing.err
	}
	// The tag of a single image is written with the same manifest. Reading that back is enough.
	confirm := !tagged || len(p.contents) > 1
	err := p.putAll(ctx, repo, missing.contents, confirm)
	if isBlobUnknown(err) {
		// A manifest there references missing blobs: check each of them. The library would not send
		// again what it has sent.
		if p.pusher, err = remote.NewPusher(p.remote...); err != nil {
			return err
		}
		if err = p.uploadAll(ctx, repo, from, nil, missing); err == nil {
			err = p.putAll(ctx, repo, missing.contents, confirm)
		}
	}
	if err == nil && len(p.contents) > 1 {
		err = p.put(ctx, repo, p.top, !tagged)
	}
	return err
}

func (p *push) putAll(ctx context.Context, repo name.Repository, contents []content, confirm bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, c := range contents {
		group.Go(func() error { return p.put(ctx, repo, c.manifest, confirm) })
	}
	return group.Wait()
}

// put writes a manifest by digest, and reads it back if it is to be confirmed.
func (p *push) put(ctx context.Context, repo name.Repository, m manifest, confirm bool) error {
	ref := repo.Digest(m.digest.String())
	if err := p.pusher.Put(ctx, ref, m); err != nil || !confirm {
		return err
	}
	return p.confirm(ctx, ref, m.digest, v1.Hash{})
}

// tag points the reference to the pushed image. Before is its previous target, or zero.
func (p *push) tag(ctx context.Context, n naming, before v1.Hash) error {
	if _, byDigest := n.ref.(name.Digest); byDigest {
		return nil
	}
	if err := p.pusher.Put(ctx, n.ref, n.manifest); err != nil {
		return err
	}
	return p.confirm(ctx, n.ref, n.manifest.digest, before)
}

// confirm verifies that a reference points to what was written. Registries with caches or
// eventually consistent storage may show the old state for a while: 404, or the previous target. It
// retries a few times; a remaining lag is a warning, not an error. Without read access, it does
// nothing.
func (p *push) confirm(ctx context.Context, ref name.Reference, want, before v1.Hash) error {
	err := p.speak.Again(ctx, func(int) error {
		got, err := p.target(ctx, ref)
		switch {
		case statusOf(err) == http.StatusNotFound:
			return &registry.AgainError{Err: lagError("nothing")}
		case isRefused(err):
			return nil
		case err != nil:
			return err
		case got == want:
			return nil
		case got == before:
			return &registry.AgainError{Err: lagError(before.String())}
		}
		return fmt.Errorf("tag points to %s after writing %s; another push may have moved it", got, want)
	})
	var lag lagError
	if errors.As(err, &lag) {
		p.log.Warn(fmt.Sprintf("%s: the registry accepted %s, but the %s; it may take a moment to appear", spelled(ref), want, lag))
		return nil
	}
	return err
}

// target returns what a reference points to. It asks with HEAD, which registries do not count as a
// pull, and with GET where that says nothing. By digest, the library verifies the response.
func (p *push) target(ctx context.Context, ref name.Reference) (v1.Hash, error) {
	d, err := p.puller.Head(ctx, ref)
	switch {
	case err == nil:
		return d.Digest, nil
	case statusOf(err) == http.StatusNotFound || registry.IsNetwork(err) && !isUnanswered(err):
		return v1.Hash{}, err
	}
	got, err := p.puller.Get(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return got.Digest, nil
}

// lagError is the outdated target of a reference.
type lagError string

func (e lagError) Error() string { return "tag still points to " + string(e) }
