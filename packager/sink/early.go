package sink

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/packager/registry"
)

// early uploads layers to the repository of the destination before the images are complete.
//
// A layer that is being built is not in the repository if that is new, or if the previous image is
// there: then it would have been reused. It is uploaded while it is written, as one chunk of
// unknown length (distribution spec, "Pushing a blob in chunks"; Docker pushes so). If that fails for
// any reason, and in other repositories, it is uploaded from its file, once its digest is known.
// Layers that exist are uploaded or mounted if it is known that the repository lacks them; otherwise
// they wait for the images, which may be there already.
type early struct {
	push  *push
	repo  name.Repository
	ctx   context.Context
	stop  context.CancelCauseFunc
	group sync.WaitGroup
	slots chan struct{}
	known func() (knowledge, error)
	// refused is set once the registry has failed an upload of a layer that was being written.
	refused atomic.Bool

	mu        sync.Mutex
	transfers []*transfer // in the order in which they began
	failed    error       // the first error of an upload, unless ctx ended before
}

// transfer is what happens to one layer.
type transfer struct {
	layer v1.Layer
	ended chan struct{}
	// The following may only be read after ended is closed.
	came bool // the repository has the layer now
	err  error
}

// growing is a layer that is being built, such as [laminate/flatten/layer.Growing]: its digest is not
// computed before it is done, but its blob can be read.
type growing interface {
	v1.Layer
	Done() <-chan struct{}
}

// knowledge is what is known about a repository before it is written to.
type knowledge struct {
	*holdings
	isNew  bool // it has no tags
	reused bool // it has the previous image
}

// lacks reports whether a layer that is being built is not in the repository.
func (k knowledge) lacks() bool { return k.isNew || k.reused }

// saysAll reports whether the layers of the image that is replaced, if there is one, are known. It may
// be an index.
func (k knowledge) saysAll() bool { return k.isNew || len(k.blobs) > 0 }

// newEarly returns early uploads to the repository of the first reference. Previous is the image whose
// layers are reused, or nil. The context that it returns ends with the first error.
func newEarly(ctx context.Context, p *push, refs []name.Reference, previous name.Reference) (*early, context.Context) {
	e := &early{push: p, repo: refs[0].Context(), slots: make(chan struct{}, p.jobs)}
	e.ctx, e.stop = context.WithCancelCause(ctx)
	var own []name.Reference
	for _, ref := range refs {
		if ref.Context().Name() == e.repo.Name() {
			own = append(own, ref)
		}
	}
	if previous != nil && previous.Context().Name() != e.repo.Name() {
		previous = nil
	}
	e.known = sync.OnceValues(func() (knowledge, error) { return e.look(own, previous) })
	e.group.Go(func() { _, _ = e.known() })
	return e, e.ctx
}

// look finds out what is known about the repository.
func (e *early) look(refs []name.Reference, previous name.Reference) (knowledge, error) {
	if previous != nil {
		refs = append(refs, previous)
	}
	all, err := e.push.look(e.ctx, refs)
	if err != nil {
		return knowledge{}, err
	}
	k := knowledge{holdings: all[e.repo.Name()]}
	if previous != nil {
		_, k.reused = k.refs[previous.Identifier()]
	}
	if len(k.refs) == 0 {
		// Something will be pushed. The pool keeps the token for it.
		e.group.Go(func() { _, _ = e.push.speak.Session(e.ctx, e.repo, transport.PushScope) })
		k.isNew = e.isNew()
	}
	return k, nil
}

// isNew reports whether the registry says that the repository has no tags.
func (e *early) isNew() bool {
	pages, err := e.push.puller.Lister(e.ctx, e.repo)
	if err != nil {
		return registry.IsAbsent(err) && statusOf(err) == 404
	}
	page, err := pages.Next(e.ctx)
	return err == nil && len(page.Tags) == 0
}

// ready begins to upload a layer.
func (e *early) ready(l v1.Layer) {
	t := &transfer{layer: l, ended: make(chan struct{})}
	e.mu.Lock()
	before := e.transfers
	e.transfers = append(before, t)
	e.mu.Unlock()
	e.group.Go(func() {
		defer close(t.ended)
		if t.came, t.err = e.bring(l, before); t.err != nil {
			e.fail(t.err)
		}
	})
}

// fail ends the context with an error, unless it has ended: then the error is a consequence.
func (e *early) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() == nil {
		e.failed = err
		e.stop(err)
	}
}

// bring uploads a layer, and reports whether the repository has it now.
func (e *early) bring(l v1.Layer, before []*transfer) (bool, error) {
	k, err := e.known()
	if err != nil {
		return false, err
	}
	if g, grows := l.(growing); grows {
		return e.follow(g, k, before)
	}
	if !k.saysAll() {
		return false, nil
	}
	return e.upload(l, k, before)
}

// follow uploads a layer that is being built. The build itself reports its errors.
func (e *early) follow(g growing, k knowledge, before []*transfer) (bool, error) {
	if k.lacks() && !e.refused.Load() {
		broken, err := e.stream(g)
		if err == nil {
			return true, nil
		}
		if !broken {
			e.refused.Store(true)
		}
		k.isNew = false // it may have arrived nevertheless
	}
	select {
	case <-g.Done():
	case <-e.ctx.Done():
		return false, e.ctx.Err()
	}
	if _, err := g.Digest(); err != nil {
		return false, nil
	}
	return e.upload(g, k, before)
}

// stream uploads a layer while it is written. Broken reports whether an error is that of the layer, and
// not the registry's: its build has failed, or was begun again.
func (e *early) stream(g growing) (broken bool, err error) {
	s := &streamed{growing: g, ctx: e.ctx, log: e.push.log}
	uploaded := make(chan struct{})
	e.group.Go(func() {
		select {
		case <-g.Done():
			s.sent(0) // what remains may take long
		case <-uploaded:
		}
	})
	// A layer that is complete already would be looked for, although the repository lacks it.
	err = e.push.pusher.Upload(registry.SkipExistsCheck(e.ctx), e.repo, s)
	close(uploaded)
	return s.end(err), err
}

// upload uploads or mounts a complete layer, unless the repository is known to have it, or it comes
// with an image before this one.
func (e *early) upload(l v1.Layer, k knowledge, before []*transfer) (bool, error) {
	digest, err := l.Digest()
	if err != nil {
		return false, err
	}
	size, err := l.Size()
	if err != nil {
		return false, err
	}
	b := blob{what: "layer", digest: digest, size: size, open: l.Compressed, layer: l, absent: k.isNew}
	if k.blobs[digest] || isOf(b, e.repo) {
		return false, nil
	}
	if t := transferOf(before, digest); t != nil {
		return t.wait(e.ctx)
	}
	if err := e.enter(l); err != nil {
		return false, err
	}
	defer e.leave(l)
	err = e.push.upload(e.ctx, e.repo, b, nil, nil)
	return err == nil, err
}

// transferOf returns the first transfer of a layer that is complete, or nil.
func transferOf(all []*transfer, digest v1.Hash) *transfer {
	for _, t := range all {
		if d, err := t.layer.Digest(); err == nil && d == digest {
			return t
		}
	}
	return nil
}

// wait waits for a transfer, and reports whether the repository has the layer now.
func (t *transfer) wait(ctx context.Context) (bool, error) {
	select {
	case <-t.ended:
		return t.came, t.err
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// arrived waits for a layer, and reports whether it has come early.
func (e *early) arrived(ctx context.Context, repo name.Repository, digest v1.Hash) (bool, error) {
	if !e.isTo(repo) {
		return false, nil
	}
	e.mu.Lock()
	all := e.transfers
	e.mu.Unlock()
	if t := transferOf(all, digest); t != nil {
		return t.wait(ctx)
	}
	return false, nil
}

// enter waits for a slot. What was built has as many as it needs: few layers are built at the same
// time, and they should not wait for mounts, which are many.
func (e *early) enter(l v1.Layer) error {
	if _, grows := l.(growing); grows {
		return nil
	}
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
}

func (e *early) leave(l v1.Layer) {
	if _, grows := l.(growing); !grows {
		<-e.slots
	}
}

// isTo reports whether the uploads go to a repository.
func (e *early) isTo(repo name.Repository) bool { return e != nil && repo.Name() == e.repo.Name() }

// err returns the error that has ended the context, or nil if it has not ended, or something else has
// ended it.
func (e *early) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// close ends all uploads, and waits for them.
func (e *early) close() {
	e.stop(nil)
	e.group.Wait()
}
