package engine

import (
	"archive/tar"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/progress"
)

// Layer is a layer of modules in an image.
type Layer struct {
	v1.Layer
	Resolved
}

// Layers returns the layers of a resolved plan, in order.
func (k *Maker) Layers(ctx context.Context, ms Modules, plan []Resolved) ([]Layer, error) {
	layers := make([]Layer, len(plan))
	return layers, InOrder(ctx, len(plan), func(ctx context.Context, i int) (err error) {
		layers[i], err = k.make(ctx, ms, plan[i])
		return err
	})
}

// make returns a resolved layer, or builds it.
func (k *Maker) make(ctx context.Context, ms Modules, r Resolved) (Layer, error) {
	title := Title(r.Plan)
	switch r.Origin {
	case ToBuild:
		return k.build(ctx, ms, r)
	case FromPrevious:
		k.options.Ready(r.layer)
		return Layer{r.layer, r}, k.noteInherited(r.layer, title)
	}
	k.options.Ready(r.layer)
	return Layer{r.layer, r}, k.note(progress.Reused, r.layer, title)
}

// build builds a layer, from compressed pieces if possible.
func (k *Maker) build(ctx context.Context, ms Modules, r Resolved) (Layer, error) {
	var members []layer.Member
	ahead := &queue{ctx: ctx}
	for i, ref := range r.Plan.Refs {
		m := layer.Member{Ref: ref, Piece: k.piece(ms[ref])}
		if i == 0 || !ref.SharesIDDir(r.Plan.Refs[i-1]) { // others are compressed again
			m.Splice = k.splice(ctx, ms[ref], r.ids[i], ahead)
		}
		members = append(members, m)
	}
	ahead.start()
	defer ahead.end()
	built, err := k.grow(Title(r.Plan), func(o layer.BuildOptions) (*layer.Built, error) {
		o.Kind = ms[r.Plan.Refs[0]].Kind
		return layer.Build(ctx, members, o)
	})
	if err != nil {
		return Layer{}, err
	}
	ids := make([]v1.Hash, len(built.Pieces))
	for i, p := range built.Pieces {
		ids[i] = p.ContentID
	}
	from := pieceOrigins(ms, r.Plan.Refs, ids)
	k.kept.keep(layerKey(k.options.Compression, from), built, from)
	r.Pieces, r.layer = built.Pieces, built
	return Layer{built, r}, k.note(progress.Built, built, Title(r.Plan))
}

// grow builds a layer, which others may read meanwhile. A layer of the same modules for another target
// is often the same layer: others get it once it is built, and may know it.
func (k *Maker) grow(title string, build func(layer.BuildOptions) (*layer.Built, error)) (*layer.Built, error) {
	task := k.options.Log.Start(progress.Building, progress.Subject{Name: title}, -1)
	o := layer.BuildOptions{Compression: k.options.Compression, Progress: task.Add, Path: k.blobs.next()}
	first := k.isFirst(title)
	if first {
		o.Growing = o.Grow()
		k.options.Ready(o.Growing)
	}
	built, err := build(o)
	task.Done(err)
	if err == nil && !first {
		k.options.Ready(built)
	}
	return built, err
}

// piece returns a module's content, from a downloaded blob if there is one.
func (k *Maker) piece(m *image.Module) layer.Piece {
	if m.Layer != nil {
		if l := k.blobs.fetched(m.Layer); l != nil && len(l.Refs) == 1 {
			return l.piece(m)
		}
	}
	return m.Piece
}

// noteInherited logs a layer of the previous image with its digest, which is an input of the new
// image.
func (k *Maker) noteInherited(l v1.Layer, title string) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	return k.note(progress.Reused, l, fmt.Sprintf("%s, %s of the previous image", title, digest))
}

// Tar builds a layer without modules, unless the previous image or the cache has it. Write must
// write the same content in every call, with the passed diffID; a zero diffID is computed.
func (k *Maker) Tar(ctx context.Context, title string, diffID v1.Hash, write func(context.Context, *tar.Writer) error) (v1.Layer, error) {
	compression := k.options.Compression
	if diffID == (v1.Hash{}) {
		var err error
		if diffID, err = layer.DiffIDOf(ctx, write); err != nil {
			return nil, err
		}
	}
	if have := k.previous.layer(diffID, compression); have != nil {
		l := watch(have, "", k.previous.name, nil)
		k.options.Ready(l)
		return l, k.noteInherited(have, title)
	}
	key := layerKey(compression, []string{"tar " + diffID.String()})
	if have := k.kept.layer(ctx, compression, key); have != nil && have.Record().DiffID == diffID {
		k.options.Ready(have)
		return have, k.note(progress.Reused, have, title)
	}
	built, err := k.grow(title, func(o layer.BuildOptions) (*layer.Built, error) { return layer.BuildTar(ctx, write, o) })
	if err != nil {
		return nil, err
	}
	if built.Record().DiffID != diffID {
		return nil, fmt.Errorf("%s: changed while being read", title)
	}
	k.kept.keep(key, built, nil)
	return built, k.note(progress.Built, built, title)
}

// Title returns a name for a layer, made of its refs, for messages.
func Title(l flatten.PlannedLayer) string {
	if len(l.Refs) == 1 {
		return l.Refs[0].String()
	}
	return fmt.Sprintf("%s and %d more", l.Refs[0], len(l.Refs)-1)
}
