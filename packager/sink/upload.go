package sink

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"laminate/packager/progress"
	"laminate/packager/registry"
)

// uploadAll pushes the blobs of missing images to a repository, except those that it is known to have
// (have) and those that come from it. With nil have, it checks all blobs.
func (p *push) uploadAll(ctx context.Context, repo name.Repository, from name.Reference, have map[v1.Hash]bool, missing *missing) error {
	var blobs []blob
	for _, c := range p.contents {
		blobs = append(append(blobs, c.layers...), c.config)
	}
	// Uploads first: each is several requests one after the other, a mount is one.
	blobs = unique(blobs)
	slices.SortStableFunc(blobs, func(a, b blob) int { return cmp.Compare(mountsAfter(a), mountsAfter(b)) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, b := range blobs {
		if have == nil || !have[b.digest] && !isOf(b, repo) {
			group.Go(func() error {
				if have != nil {
					if came, err := p.early.arrived(ctx, repo, b.digest); err != nil {
						return err
					} else if came {
						// What was logged when it came was perhaps before the images were known.
						p.log.Note(progress.Reused, b.subject(), b.size)
						return nil
					}
				}
				return p.upload(ctx, repo, b, from, missing)
			})
		} else if b.layer != nil {
			p.log.Note(progress.Reused, b.subject(), b.size)
		}
	}
	return group.Wait()
}

// mountsAfter returns 1 for layers that may be mounted, and 0 for other blobs.
func mountsAfter(b blob) int {
	if _, mounts := b.layer.(*remote.MountableLayer); mounts {
		return 1
	}
	return 0
}

// isOf reports whether a blob comes from the repository.
func isOf(b blob, repo name.Repository) bool {
	m, ok := b.layer.(*remote.MountableLayer)
	return ok && m.Reference.Context().Name() == repo.Name()
}

// upload pushes a blob to a repository, unless it exists, can be mounted, or is not missing. It checks
// for an existing blob only if that may save a transfer: not for a config, which is small, and for a
// mountable blob only after mounting failed. A mount moves nothing, so it does not wait until it is
// known what is missing.
func (p *push) upload(ctx context.Context, repo name.Repository, b blob, from name.Reference, missing *missing) (err error) {
	if b.layer == nil {
		if has, err := missing.has(b.digest); err != nil || !has {
			return err
		}
		return p.uploadConfig(ctx, repo, b, from)
	}
	j := &journey{blob: b, verb: progress.Uploading, log: p.log}
	defer func() { j.end(err) }()
	w := &watched{Layer: b.layer, ctx: ctx, journey: j}
	l := p.mountable(repo, w, from)
	m, mounts := l.(*remote.MountableLayer)
	mounts = mounts && m.Reference.Context().RegistryStr() == repo.RegistryStr()
	if !mounts || missing.isKnown() {
		if has, err := missing.has(b.digest); err != nil || !has {
			return err
		}
	}
	absent := b.absent
	return p.speak.Again(ctx, func(attempt int) error {
		if mounts {
			return p.mount(ctx, repo, w, m, attempt, missing)
		}
		asking := ctx
		if absent {
			asking = registry.SkipExistsCheck(ctx)
		}
		err := p.send(asking, repo, l)
		absent = statusOf(err) == http.StatusTooManyRequests // then the registry has taken nothing
		return err
	})
}

// mountable returns the layer as a *remote.MountableLayer, which must be the outermost type for the
// library, if there is a repository to mount it from. From is a repository of the same registry
// that this run has pushed to, or nil.
func (p *push) mountable(repo name.Repository, w *watched, from name.Reference) v1.Layer {
	var source name.Reference
	if m, ok := w.Layer.(*remote.MountableLayer); ok {
		w.Layer, source = m.Layer, m.Reference
	}
	if from != nil && from.Context().RegistryStr() == repo.RegistryStr() {
		source = from
	}
	if source == nil {
		return w
	}
	if _, not := p.unmountable.Load(source.Context().Name()); not {
		return w
	}
	return &remote.MountableLayer{Layer: w, Reference: source}
}

// mount mounts a layer. If that is refused and the repository does not have the layer, it uploads
// it. Mounting requires read access to the other repository; token servers that do not grant it may
// refuse push access as well. Then the layer is uploaded like any other.
func (p *push) mount(ctx context.Context, repo name.Repository, w *watched, l *remote.MountableLayer, attempt int, missing *missing) error {
	asking, digest := ctx, w.journey.blob.digest
	if attempt == 1 {
		asking = registry.SkipExistsCheck(ctx)
		w.before = func() error {
			if has, err := missing.has(digest); err != nil || !has {
				return cmp.Or(err, errThere)
			}
			return p.absent(ctx, repo, digest)
		}
	}
	err := p.mounter.Upload(asking, repo, l)
	w.before = nil
	switch {
	case errors.Is(err, errThere):
		return nil
	case isUnanswered(err):
		p.unmountable.Store(l.Reference.Context().Name(), true)
		if has, err := missing.has(digest); err != nil || !has {
			return err
		}
		return p.send(ctx, repo, w)
	}
	return err
}

// send uploads a layer, unless the repository has it. If that check is refused (for example by
// storage behind a redirect that is signed for GET only), it uploads without it.
func (p *push) send(ctx context.Context, repo name.Repository, l v1.Layer) error {
	err := p.pusher.Upload(ctx, repo, l)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.Request != nil && answer.Request.Method == http.MethodHead && isUnanswered(err) {
		return p.pusher.Upload(registry.SkipExistsCheck(ctx), repo, l)
	}
	return err
}

// isUnanswered reports whether a check or a mount was refused, which does not mean that an upload
// is.
func isUnanswered(err error) bool { return isRefused(err) || statusOf(err) == http.StatusBadRequest }

// uploadConfig mounts a config that may be in another repository: from, or that of its image. If it is
// not there, the same request begins an upload.
func (p *push) uploadConfig(ctx context.Context, repo name.Repository, b blob, from name.Reference) error {
	r, err := b.read(ctx)
	if err != nil {
		return err
	}
	config, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l := static.NewLayer(config, types.DockerConfigJSON)
	source := b.home
	if from != nil && from.Context().RegistryStr() == repo.RegistryStr() {
		source = from
	}
	mounts := source != nil && source.Context().RegistryStr() == repo.RegistryStr() && source.Context().Name() != repo.Name()
	return p.speak.Again(ctx, func(attempt int) error {
		asking := ctx
		if attempt == 1 {
			asking = registry.SkipExistsCheck(ctx)
		}
		if mounts && attempt == 1 {
			if err := p.mounter.Upload(asking, repo, &remote.MountableLayer{Layer: l, Reference: source}); !isUnanswered(err) {
				return err
			}
		}
		if attempt == 1 {
			if err := p.putBlob(ctx, repo, b.digest, config); !isOtherwise(err) {
				return err
			}
		}
		return p.pusher.Upload(asking, repo, l)
	})
}

// putBlob uploads a small blob, with a request less than the library.
func (p *push) putBlob(ctx context.Context, repo name.Repository, digest v1.Hash, content []byte) error {
	s, err := p.speak.Session(ctx, repo, transport.PushScope)
	if err != nil {
		return err
	}
	return s.PutBlob(ctx, digest, content)
}

// isOtherwise reports whether a registry refuses an upload that it may take from the library, which
// also returns the error if it does not.
func isOtherwise(err error) bool {
	var again *registry.AgainError
	return !errors.As(err, &again) && (errors.Is(err, registry.ErrElsewhere) || statusOf(err)/100 == 4)
}

// errThere ends the upload of a blob that could not be mounted, but exists.
var errThere = errors.New("the repository has the blob")

// absent returns errThere if a repository has a blob.
func (p *push) absent(ctx context.Context, repo name.Repository, digest v1.Hash) error {
	l, err := p.puller.Layer(ctx, repo.Digest(digest.String()))
	there := false
	if err == nil {
		there, err = partial.Exists(l)
	}
	switch {
	case isUnanswered(err):
		return nil
	case err != nil || !there:
		return err
	}
	return errThere
}

// watched is a layer whose bytes are verified and counted as they are sent.
type watched struct {
	v1.Layer
	ctx     context.Context
	journey *journey
	before  func() error // if set, called before the layer is read
}

// Compressed implements v1.Layer.
func (w *watched) Compressed() (io.ReadCloser, error) {
	if w.before != nil {
		if err := w.before(); err != nil {
			return nil, err
		}
	}
	return w.journey.open(w.ctx)
}

// Size implements v1.Layer, with the size in the manifest.
func (w *watched) Size() (int64, error) { return w.journey.blob.size, nil }

// Digest implements v1.Layer, with the digest in the manifest.
func (w *watched) Digest() (v1.Hash, error) { return w.journey.blob.digest, nil }
