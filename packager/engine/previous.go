package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// previous holds the layers of the image to replace, which need not be built again. The zero value
// and nil have none.
type previous struct {
	name     string
	byRecipe map[v1.Hash]*image.Layer
	byDiffID map[v1.Hash]*image.Layer
	refs     map[flatten.Ref]bool
	holders  []*image.Layer // that hold buildpacks, lowest first
	order    []v1.Hash      // of the diffIDs, lowest first
}

// PreviousImage is the location of the image to replace.
type PreviousImage struct {
	location.Location
	// Named means that the user named this image. It must exist.
	Named bool
	// Found means that the caller knows that this image exists. It may lack a target; that it cannot be
	// read is an error.
	Found bool
}

// openPrevious opens the previous image, if there is one for the target.
func openPrevious(ctx context.Context, open *source.Opener, at *PreviousImage, target flatten.Target) (*previous, error) {
	if at == nil {
		return nil, nil
	}
	img, err := open.Image(ctx, at.Location, target)
	if err != nil {
		return nil, err
	}
	return newPrevious(img)
}

// orNone returns the opened previous image, or none in spite of an error. An image that was not named
// may be missing; failing to read it is only a warning. A timeout of its registry is an error, since
// the push would wait for the same registry again.
func (at *PreviousImage) orNone(ctx context.Context, p *previous, err error, log progress.Log) (*previous, error) {
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case at.Named:
		return nil, fmt.Errorf("previous image %w; use --previous none to build without one", err)
	case at.Found && !errors.Is(err, image.ErrNoImage):
		return nil, fmt.Errorf("previous image %w", err)
	case isAbsent(err):
		return nil, nil
	case source.IsTimeout(err):
		return nil, err
	default:
		log.Warn(fmt.Sprintf("continuing without the previous image: %v", err))
		return nil, nil
	}
}

// Follow uses an opened image as the previous image if there is no other.
func (k *Maker) Follow(img *image.Image) (err error) {
	if k.previous == nil {
		k.previous, err = newPrevious(img)
	}
	return err
}

// newPrevious lists the layers of the image.
func newPrevious(img *image.Image) (*previous, error) {
	p := &previous{
		name: img.Name, byRecipe: map[v1.Hash]*image.Layer{}, byDiffID: map[v1.Hash]*image.Layer{},
		refs: map[flatten.Ref]bool{}, order: img.Config.RootFS.DiffIDs,
	}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		modules, err := img.Modules(kind)
		if err != nil {
			return nil, err
		}
		for _, m := range modules {
			p.refs[m.Ref()] = true
		}
	}
	var err error
	if p.holders, err = img.Holders(flatten.Buildpack); err != nil {
		return nil, err
	}
	for _, l := range img.Contents() {
		if !l.Stored {
			continue
		}
		p.byDiffID[l.Diff] = l
		if len(l.Facts) > 0 {
			p.byRecipe[flatten.Recipe(l.Facts)] = l
		}
	}
	return p, nil
}

// isAbsent reports whether an error means that there is no such image. If it is
// only inaccessible, the push reports that.
func isAbsent(err error) bool {
	return source.IsAbsent(err) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, image.ErrNoImage)
}

// holding returns the layer with exactly the pieces of these refs and content identities, in this
// order, according to laminate's own label, or nil.
func (p *previous) holding(refs []flatten.Ref, ids []v1.Hash, c layer.Compression) *image.Layer {
	if p == nil || slices.Contains(ids, v1.Hash{}) {
		return nil
	}
	var pieces []flatten.Facts
	for _, id := range ids {
		pieces = append(pieces, flatten.Facts{ContentID: id})
	}
	if l := p.byRecipe[flatten.Recipe(pieces)]; l != nil && l.Compression == c && slices.Equal(refsOf(l.Facts), refs) {
		return l
	}
	return nil
}

// layer returns the layer with a diffID, or nil.
func (p *previous) layer(diffID v1.Hash, c layer.Compression) *image.Layer {
	if p == nil {
		return nil
	}
	if l := p.byDiffID[diffID]; l != nil && l.Compression == c {
		return l
	}
	return nil
}

// diff returns the layer with a diffID, in any compression, or nil.
func (p *previous) diff(diffID v1.Hash) *image.Layer {
	if p == nil {
		return nil
	}
	return p.byDiffID[diffID]
}

// hasUnstored reports whether the image has a layer with the diffID that is not stored as a blob.
// Layers of the Docker daemon and of its archives are not.
func (p *previous) hasUnstored(diffID v1.Hash) bool {
	return slices.ContainsFunc(p.layers(), func(l *image.Layer) bool { return !l.Stored && l.Diff == diffID })
}

// layers returns the layers with buildpacks, lowest first.
func (p *previous) layers() []*image.Layer {
	if p == nil {
		return nil
	}
	return p.holders
}

// unpacked is like holding for layers that are not stored as blobs.
func (p *previous) unpacked(refs []flatten.Ref, ids []v1.Hash) *image.Layer {
	for _, l := range p.layers() {
		same := !l.Stored && slices.Equal(orderIn(l), refs)
		for i := 0; same && i < len(refs); i++ {
			was := identity(l, refs[i])
			same = was != (v1.Hash{}) && was == ids[i]
		}
		if same {
			return l
		}
	}
	return nil
}

// knows reports whether the image has a module with the ref.
func (p *previous) knows(r flatten.Ref) bool { return p != nil && p.refs[r] }
