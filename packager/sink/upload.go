package sink

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/progress"
	"laminate/packager/registry"
)

// upload brings a blob to a repository, unless it is there or can be mounted.
// The registry is asked whether it has the blob where the answer can spare
// something: not for a config, which is small, and for what can be mounted
// only after it was not.
func (p *push) upload(ctx context.Context, repo name.Repository, b blob, from name.Reference) (err error) {
	if b.layer == nil {
		return p.uploadConfig(ctx, repo, b)
	}
	j := &journey{blob: b, verb: progress.Uploading, log: p.log}
	defer func() { j.end(err) }()
	w := &watched{Layer: b.layer, ctx: ctx, journey: j}
	l := p.mountable(repo, w, from)
	m, mounts := l.(*remote.MountableLayer)
	mounts = mounts && m.Reference.Context().RegistryStr() == repo.RegistryStr()
	return p.speak.Again(ctx, func(attempt int) error {
		if mounts {
			return p.mount(ctx, repo, w, m, attempt)
		}
		return p.send(ctx, repo, l)
	})
}

// mountable returns the layer as one that the library mounts, if there is where
// from: that is exactly a *remote.MountableLayer, so this has to be the outer
// shell. What another repository of the same registry has got from us (from, or
// nil) is sure to be there.
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

// mount mounts a layer, or sends it where that is not granted and the
// repository does not have it. A mount takes the right to read the other
// repository; token servers that do not grant it refuse everything, the right
// to push included. Then the layer goes up as any other.
func (p *push) mount(ctx context.Context, repo name.Repository, w *watched, l *remote.MountableLayer, attempt int) error {
	asking := ctx
	if attempt == 1 {
		asking = registry.SkipExistsCheck(ctx)
		w.before = func() error { return p.absent(ctx, repo, w.journey.blob.digest) }
	}
	err := p.mounter.Upload(asking, repo, l)
	w.before = nil
	switch {
	case errors.Is(err, errThere):
		return nil
	case isUnanswered(err):
		p.unmountable.Store(l.Reference.Context().Name(), true)
		return p.send(ctx, repo, w)
	}
	return err
}

// send uploads a layer, unless the repository has it. Where the question is
// refused (by storage behind a redirect that is signed for GET only, for one),
// it goes up skipExistsCheck.
func (p *push) send(ctx context.Context, repo name.Repository, l v1.Layer) error {
	err := p.pusher.Upload(ctx, repo, l)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.Request != nil && answer.Request.Method == http.MethodHead && isUnanswered(err) {
		return p.pusher.Upload(registry.SkipExistsCheck(ctx), repo, l)
	}
	return err
}

// isUnanswered reports whether a question, or a mount, was refused, which says
// nothing of whether the layer may be sent.
func isUnanswered(err error) bool { return isRefused(err) || statusOf(err) == http.StatusBadRequest }

func (p *push) uploadConfig(ctx context.Context, repo name.Repository, b blob) error {
	r, err := b.read(ctx)
	if err != nil {
		return err
	}
	config, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return p.speak.Again(ctx, func(attempt int) error {
		ctx := ctx
		if attempt == 1 {
			ctx = registry.SkipExistsCheck(ctx)
		}
		return p.pusher.Upload(ctx, repo, static.NewLayer(config, types.DockerConfigJSON))
	})
}

// errThere ends the upload of a blob that could not be mounted, but is there.
var errThere = errors.New("the repository has the blob")

// absent looks whether a repository has a blob, and returns errThere if so.
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

// watched is a layer whose bytes are checked and counted as they leave.
type watched struct {
	v1.Layer
	ctx     context.Context
	journey *journey
	before  func() error // runs before the layer is read, where it is set
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

// Size implements v1.Layer: what the manifest says.
func (w *watched) Size() (int64, error) { return w.journey.blob.size, nil }

// Digest implements v1.Layer: what the manifest says.
func (w *watched) Digest() (v1.Hash, error) { return w.journey.blob.digest, nil }
