package sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// writeRegistry writes to every repository that the destination and the tags
// name: blobs, then manifests by digest, then the index by digest. Only when
// all of that stands everywhere do the tags move, so that no tag ever names
// something half made.
func writeRegistry(ctx context.Context, dest location.Location, contents []content, o Options) ([]Written, error) {
	top := contents[0].manifest
	if len(contents) > 1 {
		var err error
		if top, err = indexOf(contents); err != nil {
			return nil, err
		}
	}
	refs, err := pushRefs(dest, top, o)
	if err != nil {
		return nil, err
	}
	p, err := newPush(ctx, contents, top, o)
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	var from name.Reference
	for _, ref := range refs {
		if repo := ref.Context(); !done[repo.Name()] {
			if err := p.repository(ctx, repo, from); err != nil {
				return nil, p.explain(err, ref)
			}
			done[repo.Name()] = true
			from = repo.Digest(top.digest.String())
		}
	}
	var written []Written
	for _, ref := range refs {
		if err := p.tag(ctx, ref); err != nil {
			return nil, p.explain(err, ref)
		}
		written = append(written, Written{Digest: top.digest, Destination: "docker://" + spelled(ref)})
	}
	return written, nil
}

// pushRefs reads all references before the first byte goes out: the
// destination's, and then the tags', each once.
func pushRefs(dest location.Location, top manifest, o Options) ([]name.Reference, error) {
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
		if digest, ok := ref.(name.Digest); ok {
			switch {
			case i > 0:
				wrong = append(wrong, fmt.Errorf("output %s: it is a digest and not a tag", s))
			case digest.DigestStr() != top.digest.String():
				wrong = append(wrong, fmt.Errorf("output %s: the image has another digest, %s", s, top.digest))
			}
		}
		if !seen[ref.Name()] {
			seen[ref.Name()] = true
			refs = append(refs, ref)
		}
	}
	return refs, errors.Join(wrong...)
}

// A push carries one image, or the index over several, to registries.
type push struct {
	contents []content
	top      manifest
	jobs     int
	log      progress.Log
	pusher   *remote.Pusher
	puller   *remote.Puller
}

func newPush(ctx context.Context, contents []content, top manifest, o Options) (*push, error) {
	options := append(o.registry().Remote(ctx), remote.WithJobs(o.Jobs))
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return &push{contents: contents, top: top, jobs: o.Jobs, log: o.Log, pusher: pusher, puller: puller}, nil
}

// explain leaves errors of our own blobs as they are; all others are the registry's.
func (p *push) explain(err error, ref name.Reference) error {
	var bad *blobError
	if errors.As(err, &bad) {
		return bad
	}
	return registry.Explain(err, spelled(ref))
}

// repository brings everything but tags to a repository. What was written to
// another before (from, or nil) is mounted where the registry is the same.
func (p *push) repository(ctx context.Context, repo name.Repository, from name.Reference) error {
	var blobs []blob
	for _, c := range p.contents {
		blobs = append(append(blobs, c.layers...), c.config)
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, b := range unique(blobs) {
		group.Go(func() error { return p.upload(gctx, repo, b, from) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group, gctx = errgroup.WithContext(ctx)
	group.SetLimit(p.jobs)
	for _, c := range p.contents {
		group.Go(func() error { return p.put(gctx, repo, c.manifest) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(p.contents) > 1 {
		return p.put(ctx, repo, p.top)
	}
	return nil
}

func (p *push) put(ctx context.Context, repo name.Repository, m manifest) error {
	ref := repo.Digest(m.digest.String())
	if err := p.pusher.Put(ctx, ref, m); err != nil {
		return err
	}
	// By digest: the library compares it with what comes back.
	_, err := p.puller.Get(ctx, ref)
	return err
}

// upload brings a blob to a repository, unless it is there or can be mounted.
func (p *push) upload(ctx context.Context, repo name.Repository, b blob, from name.Reference) (err error) {
	if b.layer == nil {
		r, err := b.read(ctx)
		if err != nil {
			return err
		}
		config, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return p.pusher.Upload(ctx, repo, static.NewLayer(config, types.DockerConfigJSON))
	}
	j := &journey{blob: b, verb: progress.Uploading, log: p.log}
	defer func() { j.end(err) }()
	var l v1.Layer = &watched{Layer: b.layer, ctx: ctx, journey: j}
	// The library mounts what is exactly a *remote.MountableLayer, so that
	// has to be the outer shell. What another repository of the same registry
	// has got from us is sure to be there.
	if m, ok := b.layer.(*remote.MountableLayer); ok {
		l = &remote.MountableLayer{Layer: &watched{Layer: m.Layer, ctx: ctx, journey: j}, Reference: m.Reference}
	}
	if from != nil && from.Context().RegistryStr() == repo.RegistryStr() {
		l = &remote.MountableLayer{Layer: &watched{Layer: b.layer, ctx: ctx, journey: j}, Reference: from}
	}
	return p.pusher.Upload(ctx, repo, l)
}

// tag lets the reference name what has been written, and looks whether it does.
func (p *push) tag(ctx context.Context, ref name.Reference) error {
	if _, byDigest := ref.(name.Digest); byDigest {
		return nil
	}
	if err := p.pusher.Put(ctx, ref, p.top); err != nil {
		return err
	}
	got, err := p.puller.Get(ctx, ref)
	if err != nil {
		return err
	}
	if got.Digest != p.top.digest {
		return fmt.Errorf("the tag names %s after %s was written to it", got.Digest, p.top.digest)
	}
	return nil
}

// watched is a layer whose bytes are checked and counted as they leave.
type watched struct {
	v1.Layer
	ctx     context.Context
	journey *journey
}

// Compressed implements v1.Layer.
func (w *watched) Compressed() (io.ReadCloser, error) { return w.journey.open(w.ctx) }

// Size implements v1.Layer: what the manifest says.
func (w *watched) Size() (int64, error) { return w.journey.blob.size, nil }

// Digest implements v1.Layer: what the manifest says.
func (w *watched) Digest() (v1.Hash, error) { return w.journey.blob.digest, nil }
