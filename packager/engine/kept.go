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

// kept is what earlier runs have left in the cache. Keys name what goes into a
// layer, and all else that its bytes depend on, so that what is found under one
// is what would be made.
type kept struct {
	cache *cache.Cache
	dir   string // for what is found

	layers  once.Map[string, *layer.Built] // found, built, or nil for not found
	checked once.Map[*image.Layer, bool]   // whether a source's layer is as its source says
}

// canStandFor reports whether what was kept may be used in the place of a
// module: where its source cannot give it, what reads the source says why, so
// that a run fails with a cache as it does without. A layer is checked once.
func (k *kept) canStandFor(ctx context.Context, m *image.Module) bool {
	if m.Layer == nil {
		return true
	}
	sound, _ := k.checked.Do(m.Layer, func() (bool, error) { return m.Layer.Check(ctx) == nil, nil })
	return sound
}

// pieceOrigin names the compressed form that a module's piece would have in a
// layer, "" where that is not known: a piece that is spliced depends on the
// blob that it comes from, and on what is said of it; any other on its content
// alone. What is said counts also because what is said wrong must be found out
// with a cache as it is without.
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

// layerKey is that of the layer with the pieces from these origins.
func layerKey(c layer.Compression, origins []string) string {
	if slices.Contains(origins, "") {
		return ""
	}
	return fmt.Sprintf("layer %s %s\n%s", c, layer.Format(), strings.Join(origins, "\n"))
}

// pieceKey is that of one piece, wherever it lies.
func pieceKey(c layer.Compression, origin string) string {
	return fmt.Sprintf("piece %s %s\n%s", c, layer.Format(), origin)
}

// keptPiece is a record that says where in the blob of a layer a piece lies.
type keptPiece struct {
	Layer  string // its key
	Offset int64
	Packed int64
	Facts  flatten.Facts
}

// layer returns a layer that was kept, or nil. The key is one for the compression.
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
		return nil // it is made anew, or what is wrong is told there
	}
	return r.Open(path)
}

// isSound reports whether a record agrees with itself.
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

// piece returns a piece as it lies in a layer that was kept, or nil. It is that
// of the ref, and has the content identity where that is given.
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

// keep keeps a layer that was just built, and tells where its pieces lie.
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
		if i == 0 || !ref.SharesIDDir(r.Pieces[i-1].Ref) { // else it lies there without the entry of its id directory
			k.cache.Put(pieceKey(r.Compression, o), keptPiece{Layer: key, Offset: offset, Packed: r.Packed[i], Facts: r.Pieces[i]})
		}
		k.cache.Put(seenKey(ref), nil)
		offset += r.Packed[i]
	}
}

// seenKey is that of a ref of which some piece was kept. It spares reading
// directories to look for what cannot be there.
func seenKey(r flatten.Ref) string { return "seen " + r.String() }

// hasSeen gets the entry, and so marks it as used: else it would be the first
// to go, and all that was kept of directories be of no use.
func (k *kept) hasSeen(ctx context.Context, r flatten.Ref) bool {
	_, ok := k.cache.Get(ctx, seenKey(r), nil)
	return ok
}

// report returns what an earlier run found in a layer that nothing is said of.
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

// reportNumber is raised when other layers are in normal form than before, or
// more is reported.
const reportNumber = 3

// reportKey names the blob that was read. Its diffID would not do: that is what
// the source says, and it was the reading that found it to be so.
func reportKey(kind flatten.Kind, l *image.Layer) string {
	digest, err := l.Digest()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("report %d %s %s %s %s", reportNumber, digest, l.Diff, kind, flatten.JoinRefs(l.Refs, " "))
}
