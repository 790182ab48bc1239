package image

import (
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
)

// Package is an opened buildpack, extension or buildpackage.
type Package struct {
	// Name is its name as the user wrote it, for messages.
	Name string
	// Root is the package's own ref: that of the metadata label, or the only
	// module of a directory or archive.
	Root flatten.Ref
	// Modules are sorted: the root first, the others by ref.
	Modules []*Module
	// Target is the image's operating system, architecture and variant. It is
	// zero for directories and archives.
	Target flatten.Target
	// Image is the image that it was opened from; nil for directories and archives.
	Image *Image
	// Problems are warnings.
	Problems []config.Problem
}

// Module is a buildpack or extension with its content.
type Module struct {
	flatten.Module
	// Doc has the positions in the buildpack.toml; it is empty for modules from images.
	Doc config.Doc
	// Source is the name of the module's source, for messages.
	Source string
	// Piece is the content.
	Piece layer.Piece
	// Layer is the image layer with the content; nil for directories and archives.
	Layer *Layer
	// File is the path of the buildpack.toml if the user can open it, or "".
	File string
}

// Modules returns the modules of a kind in the labels of the image, sorted by ref.
func (i *Image) Modules(kind flatten.Kind) ([]*Module, error) {
	modules, err := i.Found(kind)
	if err != nil {
		return nil, err
	}
	return modules, nil
}

// Found is [Image.Modules] for a label that may be wrong: beside an error, it returns the modules
// that are in a layer of the image.
func (i *Image) Found(kind flatten.Kind) ([]*Module, error) {
	value := i.Config.Config.Labels[kind.LayersLabelKey()]
	if value == "" || value == "{}" || value == "null" {
		return nil, nil
	}
	label, err := flatten.ParseLayersLabel(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, fewOf(err))
	}
	return i.listed(kind, label)
}

// Holders returns the layers that hold modules of a kind, lowest first.
func (i *Image) Holders(kind flatten.Kind) ([]*Layer, error) {
	modules, err := i.Modules(kind)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(i.layers), func(l *Layer) bool {
		return !slices.ContainsFunc(modules, func(m *Module) bool { return m.Layer == l })
	}), nil
}

// listing are the modules in a label, and what is wrong with the others.
type listing struct {
	modules []*Module
	err     error
}

// listed returns the modules in a label with their layers, sorted by ref, and what is wrong with
// the others. It caches the result by kind.
func (i *Image) listed(kind flatten.Kind, label flatten.LayersLabel) ([]*Module, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	known, is := i.listings[kind]
	if !is {
		known = i.list(kind, label)
		i.listings[kind] = known
	}
	return slices.Clone(known.modules), known.err
}

func (i *Image) list(kind flatten.Kind, label flatten.LayersLabel) listing {
	byDiffID := map[string]*Layer{}
	for _, l := range i.layers {
		byDiffID[l.Diff.String()] = l
	}
	var modules []*Module
	var errs []error
	for _, r := range label.Refs() {
		m := &Module{Module: label.Module(kind, r), Source: i.Name}
		diffID := label[r.ID][r.Version].LayerDiffID
		if m.Layer = byDiffID[diffID]; m.Layer == nil {
			errs = append(errs, fmt.Errorf("%s: label says that %s is in layer %s, which is not in the image", i.Name, r, diffID))
			continue
		}
		modules = append(modules, m)
	}
	if len(modules) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: not a buildpackage: label %s is empty", i.Name, kind.LayersLabelKey()))
	}
	for _, m := range modules {
		m.Layer.Refs = append(m.Layer.Refs, m.Ref())
	}
	shared := map[*Layer]*layer.Shared{}
	for _, m := range modules {
		switch l := m.Layer; {
		case len(l.Refs) == 1:
			m.Piece = layer.FromLayer(kind, m.Ref(), i.Name, l.forPiece)
		default:
			if shared[l] == nil {
				shared[l] = &layer.Shared{Kind: kind, Refs: l.Refs, Source: i.Name, WorkDir: i.raw.WorkDir, Open: l.forPiece}
				if l.Stored && len(l.Facts) == len(l.Refs) {
					shared[l].Blob, shared[l].Within, shared[l].Compression, shared[l].Facts = l.blobForPiece, l.Within, l.Compression, l.Facts
				}
			}
			m.Piece = shared[l].Piece(m.Ref())
		}
	}
	return listing{modules, few(errs)}
}
