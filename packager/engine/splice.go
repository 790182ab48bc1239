package engine

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// splice returns a module's content as it was compressed before: in a layer that
// it has to itself, or by an earlier run, which gives the same bytes. It is nil
// where there is none.
func (k *Maker) splice(ctx context.Context, m *image.Module, id v1.Hash) *layer.Splice {
	own := k.ownSplice(m)
	if own != nil && (m.Layer.Mountable == nil || k.blobs.fetched(m.Layer) != nil) {
		return own // it is here
	}
	want := flatten.Facts{Ref: m.Ref()}
	if isCertain(m) {
		want.ContentID = id
	}
	if s := k.kept.piece(ctx, k.options.Compression, pieceOrigin(m, id), want); s != nil && k.kept.canStandFor(ctx, m) {
		s.Fallback = own
		return s
	}
	return own
}

// ownSplice returns the module as its source has compressed it, or nil.
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

// loneLength is what a source says of the length of the one piece that its
// layer holds; 0 is nothing.
func loneLength(l *image.Layer) int64 {
	if len(l.Facts) == 1 && sameRefs(refsOf(l.Facts), l.Refs) {
		return l.Facts[0].Length
	}
	return 0
}
