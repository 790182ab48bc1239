package engine

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/image"
)

// contentIDs returns the known content identities of modules, and zero values for the others. To
// compute them, it reads directories and archives if the previous image or the cache may have the
// same content.
func (k *Maker) contentIDs(ctx context.Context, ms Modules, refs []flatten.Ref) ([]v1.Hash, error) {
	ids := make([]v1.Hash, len(refs))
	for i, r := range refs {
		m := ms[r]
		switch l := m.Layer; {
		case l != nil:
			ids[i] = identity(l, r)
		case k.previous.knows(r) || k.kept.hasSeen(ctx, r):
			f, err := k.measure(ctx, m)
			if err != nil {
				return nil, err
			}
			ids[i] = f.ContentID
		}
	}
	return ids, nil
}

// identity returns the content identity of a module in a layer. Without a label it is the layer's
// diffID, which is right if the layer is in normal form, and otherwise matches no content.
func identity(l *image.Layer, r flatten.Ref) v1.Hash {
	for _, f := range l.Facts {
		if f.Ref == r {
			return f.ContentID
		}
	}
	if len(l.Refs) == 1 {
		return l.Diff
	}
	return v1.Hash{}
}

// isCertain reports whether the content identity of a module is known, not just assumed from the
// diffID of its layer.
func isCertain(m *image.Module) bool {
	return m.Layer == nil || slices.Contains(refsOf(m.Layer.Facts), m.Ref())
}
