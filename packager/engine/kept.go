package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/image"
	"laminate/packager/once"
)

// kept holds the layers and pieces in the cache. Keys identify the input of a layer and everything
// else that its bytes depend on, so that a cached layer equals the one that would be built.
type kept struct {
	cache *cache.Cache
	dir   string // for cached layers

	layers  once.Map[string, *layer.Built] // cached or built; nil if not found
	checked once.Map[*image.Layer, bool]   // whether a source's layer matches its label
}

// canStandFor reports whether a cached copy may replace a module: if its source is broken, the run
// must fail with a cache as it does without. It checks each layer once.
func (k *kept) canStandFor(ctx context.Context, m *image.Module) bool {
	if m.Layer == nil {
		return true
	}
	sound, _ := k.checked.Do(m.Layer, func() (bool, error) { return m.Layer.Check(ctx) == nil, nil })
	return sound
}

// pieceOrigin identifies the compressed form of a module's piece in a layer, or returns "" if that
// is unknown. A spliced piece depends on its source blob and on the claims about it, any other
// piece only on its content. The claims are included so that wrong claims are detected with a cache
// as well.
func pieceOrigin(m *image.Module, id v1.Hash) string {
	whose := string(m.Kind) + " " + m.Ref().String()
	switch l := m.Layer; {
	case l != nil && l.Stored:
		digest, err := l.Digest()
		if err != nil {
			return ""
		}
		size, err := l.Size()
		if err != nil {
			return ""
		}
		return fmt.Sprintf("blob %s %d %s %s %d %s", digest, size, l.Compression, l.Diff, loneLength(l), whose)
	case l != nil:
		return "layer " + l.Diff.String() + " " + whose
	case id != v1.Hash{}:
		return "content " + id.String()
	}
	return ""
}

func pieceOrigins(ms Modules, refs []flatten.Ref, ids []v1.Hash) []string {
	all := make([]string, len(refs))
	for i, r := range refs {
		all[i] = pieceOrigin(ms[r], ids[i])
	}
	return all
}

// layerKey returns the key of the layer with pieces of these origins.
func layerKey(c layer.Compression, origins []string) string {
	if slices.Contains(origins, "") {
		return ""
	}
	return fmt.Sprintf("layer %s %s\n%s", c, layer.Format(), strings.Join(origins, "\n"))
}

// pieceKey returns the key of a piece in any layer.
func pieceKey(c layer.Compression, origin string) string {
	return fmt.Sprintf("piece %s %s\n%s", c, layer.Format(), origin)
}

// keptPiece is the record of the position of a piece in the blob of a layer.
type keptPiece struct {
	Layer  string // its key
	Offset int64
	Packed int64
	Facts  flatten.Facts
}

// layer returns a cached layer, or nil. The key must include the compression.
func (k *kept) layer(ctx context.Context, c layer.Compression, key string) *layer.Built {
	if key == "" {
		return nil
	}
	l, _ := k.layers.Do(key, func() (*layer.Built, error) { return k.open(ctx, c, key), nil })
	return l
}

func (k *kept) open(ctx context.Context, c layer.Compression, key string) *layer.Built {
	var r layer.Record
	blob, ok := k.cache.Get(ctx, key, &r)
	if !ok || blob == nil {
		return nil
	}
	defer blob.Close()
	if blob.Digest() != r.Digest || blob.Size() != r.Size || r.Compression != c || !isSound(r) {
		return nil
	}
	path, err := blob.Link(k.dir)
	if err != nil {
		return nil // it is built again, which reports errors
	}
	return r.Open(path)
}

// isSound reports whether a record is consistent.
func isSound(r layer.Record) bool {
	rest := r.Size
	for _, n := range r.Packed {
		if n <= 0 || n > rest {
			return false
		}
		rest -= n
	}
	return len(r.Packed) == len(r.Pieces) && (len(r.Pieces) != 1 || r.Pieces[0].ContentID == r.DiffID)
}

// piece returns a piece in a cached layer, or nil. It has the wanted ref, and the wanted content
// identity unless that is zero.
func (k *kept) piece(ctx context.Context, c layer.Compression, origin string, want flatten.Facts) *layer.Splice {
	var p keptPiece
	if origin == "" {
		return nil
	}
	if _, ok := k.cache.Get(ctx, pieceKey(c, origin), &p); !ok {
		return nil
	}
	l := k.layer(ctx, c, p.Layer)
	if l == nil || p.Facts.Ref != want.Ref || want.ContentID != (v1.Hash{}) && p.Facts.ContentID != want.ContentID {
		return nil
	}
	if size := l.Record().Size; p.Offset < 0 || p.Packed <= 0 || p.Packed > size || p.Offset > size-p.Packed || p.Facts.Length <= 0 {
		return nil
	}
	return &layer.Splice{ContentID: p.Facts.ContentID, Length: p.Facts.Length, Compression: c, Open: func(context.Context) (io.ReadCloser, error) {
		f, err := os.Open(l.Path())
		if err != nil {
			return nil, err
		}
		return section{io.NewSectionReader(f, p.Offset, p.Packed), f}, nil
	}}
}

type section struct {
	io.Reader
	io.Closer
}

// keep adds a built layer to the cache, with the positions of its pieces.
func (k *kept) keep(key string, b *layer.Built, origins []string) {
	if key == "" {
		return
	}
	k.layers.Set(key, b) // for the next target
	r := b.Record()
	k.cache.Adopt(key, b.Path(), r.Digest, r.Size, r)
	offset := int64(0)
	for i, o := range origins {
		ref := r.Pieces[i].Ref
		if i == 0 || !ref.SharesIDDir(r.Pieces[i-1].Ref) { // otherwise it is stored without the entry of its id directory
			k.cache.Put(pieceKey(r.Compression, o), keptPiece{Layer: key, Offset: offset, Packed: r.Packed[i], Facts: r.Pieces[i]})
		}
		k.cache.Put(seenKey(ref), nil)
		offset += r.Packed[i]
	}
}

// seenKey is the key of a ref with some cached piece. Directories of other refs need not be read to
// look them up.
func seenKey(r flatten.Ref) string { return "seen " + r.String() }

// hasSeen reads the entry, which marks it as used. Otherwise it would be evicted first, and cached
// pieces of directories would be useless.
func (k *kept) hasSeen(ctx context.Context, r flatten.Ref) bool {
	_, ok := k.cache.Get(ctx, seenKey(r), nil)
	return ok
}

// report returns the cached report of a layer without a label.
func (k *kept) report(ctx context.Context, kind flatten.Kind, l *image.Layer) (layer.Report, bool) {
	var r layer.Report
	key := reportKey(kind, l)
	if key == "" {
		return r, false
	}
	_, ok := k.cache.Get(ctx, key, &r)
	return r, ok && sameRefs(refsOf(r.Pieces), l.Refs)
}

func (k *kept) keepReport(kind flatten.Kind, l *image.Layer, r layer.Report) {
	if key := reportKey(kind, l); key != "" {
		k.cache.Put(key, r)
	}
}

// reportNumber must be incremented when the definition of normal form or the content of reports
// changes.
const reportNumber = 3

// reportKey identifies the blob that was read. The diffID alone is not enough: it is a claim of the
// source that only reading verifies.
func reportKey(kind flatten.Kind, l *image.Layer) string {
	digest, err := l.Digest()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("report %d %s %s %s %s", reportNumber, digest, l.Diff, kind, flatten.JoinRefs(l.Refs, " "))
}
