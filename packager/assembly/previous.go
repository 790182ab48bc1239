package assembly

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// Previous is what the image has that a new one replaces: layers that need not
// be built again. The zero value, and nil, have none.
type Previous struct {
	name     string
	byRecipe map[v1.Hash]*source.Layer
	byDiffID map[v1.Hash]*source.Layer
}

// OpenPrevious opens the image at a location, if there is one for the target.
// One that cannot be read is a warning: the new image is then made without it.
func OpenPrevious(ctx context.Context, open *source.Opener, at *location.Location, target flatten.Target, log progress.Log) *Previous {
	if at == nil {
		return nil
	}
	b, err := open.Base(ctx, *at, target)
	switch {
	case err == nil:
	case isAbsent(err):
		return nil
	default:
		log.Warn(fmt.Sprintf("the previous image cannot be used, so that all layers are made anew: %v", err))
		return nil
	}
	p := &Previous{name: b.Name, byRecipe: map[v1.Hash]*source.Layer{}, byDiffID: map[v1.Hash]*source.Layer{}}
	for _, l := range b.StoredLayers() {
		p.byDiffID[l.Diff] = l
		if len(l.Facts) > 0 {
			p.byRecipe[flatten.Recipe(l.Facts)] = l
		}
	}
	return p
}

// isAbsent tells whether there is nothing at the place.
func isAbsent(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden: // what cannot be written will be told then
			return true
		}
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, source.ErrNoImage)
}

// holding gives a layer that holds just these pieces in this order, or nil.
func (p *Previous) holding(pieces []flatten.Facts, c layer.Compression) *source.Layer {
	if p == nil || len(pieces) == 0 {
		return nil
	}
	if l := p.byRecipe[flatten.Recipe(pieces)]; l != nil && l.Compression == c {
		return l
	}
	if l := p.byDiffID[pieces[0].ContentID]; len(pieces) == 1 && l != nil && l.Compression == c {
		return l // whoever made it: equal diffIDs are equal layers
	}
	return nil
}

// facts tells what is known of planned pieces, reading those that lie in
// directories and archives on this machine. It is nil where one is unknown.
func facts(ctx context.Context, ms Modules, refs []flatten.Ref) ([]flatten.Facts, error) {
	var all []flatten.Facts
	for _, r := range refs {
		m := ms[r]
		if m.Layer == nil {
			f, err := layer.Measure(ctx, layer.Member{Ref: r, Piece: m.Piece})
			if err != nil {
				return nil, err
			}
			all = append(all, f)
			continue
		}
		known := len(all)
		for _, f := range m.Layer.Facts {
			if f.Ref == r {
				all = append(all, f)
			}
		}
		if len(all) == known {
			return nil, nil
		}
	}
	return all, nil
}
