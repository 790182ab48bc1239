package engine

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// splice returns a compressed copy of a module: its own layer in the source, or a cached copy with
// the same bytes, or nil. Blobs of sources that are not local join the queue.
func (k *Maker) splice(ctx context.Context, m *image.Module, id v1.Hash, ahead *queue) *layer.Splice {
	own := k.ownSplice(m)
	if own != nil && (m.Layer.Mountable == nil || k.blobs.fetched(m.Layer) != nil) {
		return own // the blob is local
	}
	want := flatten.Facts{Ref: m.Ref()}
	if isCertain(m) {
		want.ContentID = id
	}
	if s := k.kept.piece(ctx, k.options.Compression, pieceOrigin(m, id), want); s != nil && k.kept.canStandFor(ctx, m) {
		s.Fallback = own
		return s
	}
	if own != nil {
		own.Open = ahead.add(own.Open)
	}
	return own
}

// ownSplice returns the compressed copy in the module's source, or nil.
func (k *Maker) ownSplice(m *image.Module) *layer.Splice {
	l := m.Layer
	if l == nil || !l.Stored || len(l.Refs) != 1 || l.Compression != k.options.Compression {
		return nil
	}
	s := &layer.Splice{ContentID: l.Diff, Length: loneLength(l), Compression: l.Compression, Within: l.Within, Open: func(context.Context) (io.ReadCloser, error) { return l.Compressed() }}
	if local := k.blobs.fetched(l); local != nil {
		s.Open = func(context.Context) (io.ReadCloser, error) { return local.Compressed() }
	}
	return s
}

// loneLength returns the length of the only piece of a layer according to its label, or 0.
func loneLength(l *image.Layer) int64 {
	if len(l.Facts) == 1 && sameRefs(refsOf(l.Facts), l.Refs) {
		return l.Facts[0].Length
	}
	return 0
}
