package engine

import (
	"archive/tar"
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// Layer is a layer of modules in an image.
type Layer struct {
	v1.Layer
	Plan flatten.PlannedLayer
	// Pieces are what the layer holds, in order; nil where it is used as it is
	// and nobody has looked.
	Pieces []flatten.Facts
	// Reused tells that the layer is used as a source has it.
	Reused bool
}

// Maker brings planned layers into being. What it builds or fetches stays in
// its work directory, which has to be there as long as the layers are in use.
type Maker struct {
	compression layer.Compression
	log         progress.Log
	blobs       *blobs
	kept        *kept
	reports     *reports
	previous    *Previous
	sought      bool // somebody has looked for a previous image
	measured    *measured
}

// NewMaker gives a maker of layers that are compressed so. What it builds it
// keeps in the cache, which may be nil.
func NewMaker(workDir string, c layer.Compression, keep *cache.Cache, log progress.Log) *Maker {
	return &Maker{compression: c, log: log, blobs: newBlobs(workDir), kept: &kept{cache: keep, dir: workDir, layers: map[string]*layer.Built{}, checked: map[*source.Layer]bool{}}, reports: newReports(), measured: &measured{facts: map[*source.Module]flatten.Facts{}}}
}

// Follow gives a maker that has the same work directory and does not make what
// the previous image for the target has; at may be nil, for none. One that was
// named must be there; one that was not may be missing or broken.
func (k *Maker) Follow(ctx context.Context, open *source.Opener, at *PreviousImage, target flatten.Target) (*Maker, error) {
	p, err := openPrevious(ctx, open, at, target, k.log)
	if err != nil {
		return nil, err
	}
	over := *k
	over.previous, over.sought = p, at != nil
	return &over, nil
}

// Layers gives the layers of a plan, in its order. Layers of sources of which
// nothing is known are looked at first, side by side.
func (k *Maker) Layers(ctx context.Context, ms Modules, plan flatten.LayerPlan) ([]Layer, error) {
	if err := k.look(ctx, ms, plan); err != nil {
		return nil, err
	}
	var layers []Layer
	for _, planned := range plan {
		l, err := k.Layer(ctx, ms, planned)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// Layer gives the layer that holds what is planned: that of the previous image,
// which whoever follows the image has, that of a source, where one has just
// these modules together, one that was built before, or else a new one.
func (k *Maker) Layer(ctx context.Context, ms Modules, planned flatten.PlannedLayer) (Layer, error) {
	ids, err := k.contentIDs(ctx, ms, planned.Refs)
	if err != nil {
		return Layer{}, err
	}
	inSource := k.inSource(ms, planned)
	if inSource == nil || !planned.AsIs {
		if l, err := k.again(ms, planned, ids); err != nil || l.Reused {
			return l, err
		}
	}
	if inSource != nil {
		l, err := k.reuse(ctx, ms[planned.Refs[0]], planned)
		if err != nil || l.Reused {
			return l, err
		}
	}
	planned.Also = nil // that is for layers that are used as a source has them
	have := k.kept.layer(ctx, k.compression, layerKey(k.compression, origins(ms, planned.Refs, ids)))
	if have != nil && agree(ms, planned.Refs, ids, have.Pieces) && k.canStandFor(ctx, ms, planned.Refs) {
		l := Layer{Layer: have, Plan: planned, Pieces: have.Pieces, Reused: true}
		return l, k.note(progress.Reused, have, Title(planned))
	}
	return k.build(ctx, ms, planned, ids)
}

// canStandFor reports whether a layer that was kept may be used in the place of
// these modules.
func (k *Maker) canStandFor(ctx context.Context, ms Modules, refs []flatten.Ref) bool {
	return !slices.ContainsFunc(refs, func(r flatten.Ref) bool { return !k.kept.canStandFor(ctx, ms[r]) })
}

// agree tells whether a record of pieces is one of these refs, with the content
// identities that are certain.
func agree(ms Modules, refs []flatten.Ref, ids []v1.Hash, pieces []flatten.Facts) bool {
	for i, r := range refs {
		if i >= len(pieces) || pieces[i].Ref != r || isCertain(ms[r]) && pieces[i].ContentID != ids[i] {
			return false
		}
	}
	return len(pieces) == len(refs)
}

// build makes a new layer, of pieces that were compressed before where there
// are such.
func (k *Maker) build(ctx context.Context, ms Modules, planned flatten.PlannedLayer, ids []v1.Hash) (Layer, error) {
	var members []layer.Member
	for i, r := range planned.Refs {
		members = append(members, layer.Member{Ref: r, Piece: k.piece(ms[r]), Splice: k.splice(ctx, ms[r], ids[i])})
	}
	task := k.log.Start(progress.Building, progress.Subject{Name: Title(planned)}, -1)
	built, err := layer.Build(ctx, members, layer.BuildOptions{
		Kind: ms[planned.Refs[0]].Kind, Compression: k.compression, Progress: task.Add, Path: k.blobs.next(),
	})
	task.Done(err)
	if err != nil {
		return Layer{}, err
	}
	for i, p := range built.Pieces {
		ids[i] = p.ContentID
	}
	from := origins(ms, planned.Refs, ids)
	k.kept.keep(layerKey(k.compression, from), built, from)
	return Layer{Layer: built, Plan: planned, Pieces: built.Pieces}, k.note(progress.Built, built, Title(planned))
}

func origins(ms Modules, refs []flatten.Ref, ids []v1.Hash) []string {
	all := make([]string, len(refs))
	for i, r := range refs {
		all[i] = origin(ms[r], ids[i])
	}
	return all
}

// piece gives a module's content, out of the blob that was fetched, if it was.
func (k *Maker) piece(m *source.Module) layer.Piece {
	if m.Layer != nil {
		if l := k.blobs.fetched(m.Layer); l != nil && len(l.Refs) == 1 {
			return l.piece(m)
		}
	}
	return m.Piece
}

// again takes a layer of the previous image, where it holds what is planned.
// What it should hold is known, so that it is looked at if it is read.
func (k *Maker) again(ms Modules, planned flatten.PlannedLayer, ids []v1.Hash) (Layer, error) {
	m := ms[planned.Refs[0]]
	have := k.inPrevious(m, planned.Refs, ids)
	if have == nil {
		return Layer{}, nil
	}
	l := Layer{Plan: planned, Reused: true}
	pieces := []flatten.Facts{{Ref: m.Ref(), ContentID: ids[0]}}
	if slices.Equal(refsOf(have.Facts), planned.Refs) {
		pieces, l.Pieces = have.Facts, have.Facts
	}
	l.Layer = watch(have, m.Kind, k.previous.name, pieces)
	return l, k.noteAgain(l.Layer, Title(planned))
}

// inPrevious gives the layer of the previous image that holds the refs, of which
// m is the first, with these content identities; or nil.
func (k *Maker) inPrevious(m *source.Module, refs []flatten.Ref, ids []v1.Hash) *source.Layer {
	have := k.previous.holding(refs, ids, k.compression)
	if have == nil && len(ids) == 1 && isCertain(m) {
		have = k.previous.layer(ids[0], k.compression) // whoever made it: equal diffIDs are equal layers
	}
	return have
}

// noteAgain tells of a layer of the previous image, and of its digest: that is
// one more input of what is made.
func (k *Maker) noteAgain(l v1.Layer, title string) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	return k.note(progress.Reused, l, fmt.Sprintf("%s, %s of the previous image", title, digest))
}

func (k *Maker) note(verb progress.Verb, l v1.Layer, title string) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	digest, err := l.Digest()
	if err == nil {
		k.log.Note(verb, progress.Subject{Name: title, Digest: digest.String()}, size)
	}
	return err
}

// Tar builds a layer that holds no modules, unless the previous image has it.
// What write gives must be the same at every call, and have the diffID; that
// is found out where it is not given.
func (k *Maker) Tar(ctx context.Context, title string, diffID v1.Hash, write func(context.Context, *tar.Writer) error) (v1.Layer, error) {
	if diffID == (v1.Hash{}) {
		var err error
		if diffID, err = layer.DiffIDOf(ctx, write); err != nil {
			return nil, err
		}
	}
	if have := k.previous.layer(diffID, k.compression); have != nil {
		return watch(have, "", k.previous.name, nil), k.noteAgain(have, title)
	}
	key := layerKey(k.compression, []string{"tar " + diffID.String()})
	if have := k.kept.layer(ctx, k.compression, key); have != nil && have.Record().DiffID == diffID {
		return have, k.note(progress.Reused, have, title)
	}
	task := k.log.Start(progress.Building, progress.Subject{Name: title}, -1)
	built, err := layer.BuildTar(ctx, write, layer.BuildOptions{Compression: k.compression, Progress: task.Add, Path: k.blobs.next()})
	task.Done(err)
	if err != nil {
		return nil, err
	}
	if built.Record().DiffID != diffID {
		return nil, fmt.Errorf("%s: it changed while it was read", title)
	}
	k.kept.keep(key, built, nil)
	return built, k.note(progress.Built, built, title)
}

// Title names a layer for a person: by what it holds.
func Title(l flatten.PlannedLayer) string {
	if len(l.Refs) == 1 {
		return l.Refs[0].String()
	}
	return fmt.Sprintf("%s and %d more", l.Refs[0], len(l.Refs)-1)
}

// inSource gives a layer of a source that holds just the refs that are
// planned, compressed as is wanted, or nil.
func (k *Maker) inSource(ms Modules, planned flatten.PlannedLayer) *source.Layer {
	l := ms[planned.Refs[0]].Layer
	if l == nil || !l.Stored || l.Compression != k.compression || !sameRefs(l.Refs, slices.Concat(planned.Refs, planned.Also)) {
		return nil
	}
	for _, r := range planned.Refs {
		if ms[r].Layer != l { // from another source, though in the label of this one
			return nil
		}
	}
	return l
}

func sameRefs(a, b []flatten.Ref) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), flatten.Ref.Compare), slices.SortedFunc(slices.Values(b), flatten.Ref.Compare))
}

// reuse takes the layer of a source's module as it is. One of which nothing is
// known is read first, unless it is to be taken unseen; where it is not in the
// shape that platforms expect, it is not reused. What is to be taken unseen is
// read only where modules share an id directory: with an entry of it for each,
// as laminate once wrote them, engines refuse the layer.
func (k *Maker) reuse(ctx context.Context, m *source.Module, planned flatten.PlannedLayer) (Layer, error) {
	have := m.Layer
	l := Layer{Layer: have.Reuse(), Plan: planned, Reused: true}
	switch {
	case sameRefs(refsOf(have.Facts), have.Refs):
		l.Layer, l.Pieces = watch(have, m.Kind, m.Source, have.Facts), have.Facts
	case isLookedAt(have, planned):
		seen, err := k.reports.of(ctx, k, m)
		switch {
		case err != nil:
			return Layer{}, err
		case seen.Untidy == "":
			l.Layer, l.Pieces = seen.layer, seen.Pieces
		case !planned.AsIs:
			l.Reused = false
		case seen.Twice != "":
			return Layer{}, fmt.Errorf("%s: layer %s has two entries for %s, and Docker and podman refuse it as it is; take a mode other than as-packaged, which makes it anew", m.Source, have.Diff, seen.Twice)
		}
	}
	if !l.Reused {
		return l, nil
	}
	if before := k.previous.layer(have.Diff, k.compression); before != nil && !sameDigest(before, have) {
		l.Layer = watch(before, m.Kind, k.previous.name, l.Pieces)
		return l, k.noteAgain(l.Layer, Title(planned))
	}
	return l, k.note(progress.Reused, l.Layer, Title(planned))
}

// isLookedAt reports whether a source's layer has to be read before it is used
// as it is.
func isLookedAt(l *source.Layer, planned flatten.PlannedLayer) bool {
	isKnown := sameRefs(refsOf(l.Facts), l.Refs)
	return !isKnown && (!planned.AsIs || flatten.ShareIDDir(l.Refs))
}

// sameDigest tells whether two layers are the same as they are compressed.
func sameDigest(a, b v1.Layer) bool {
	one, errA := a.Digest()
	other, errB := b.Digest()
	return errA == nil && errB == nil && one == other
}

func refsOf(pieces []flatten.Facts) []flatten.Ref {
	var refs []flatten.Ref
	for _, p := range pieces {
		refs = append(refs, p.Ref)
	}
	return refs
}
