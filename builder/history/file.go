package history

import (
	"encoding/json"
	"time"

	"laminate/flatten"
)

// File is a builder's history. What [Read] gives is valid, and is not changed
// any more; whoever makes one by hand calls [File.Check] before use.
type File struct {
	Builder string
	// Notes say where the facts come from; nil or a JSON value.
	Notes json.RawMessage
	// Sizes are compressed bytes, by ref. A ref without a version speaks for
	// all versions that have no size of their own.
	Sizes map[flatten.Ref]int64
	// Composites are the refs that each composite names, in order.
	Composites map[flatten.Ref][]flatten.Ref
	// Releases replace each other in this order.
	Releases []Release
}

// Release is one release of the builder.
type Release struct {
	Version    string
	Date       time.Time // zero where nobody knows
	Lifecycle  string
	BuildImage string
	// Buildpacks are the top-level refs, in the builder's order.
	Buildpacks []flatten.Ref
	// Layers are the image's layers, lowest first; nil where nobody looked.
	Layers []Layer
}

// Layer is one layer of a release as a registry shows it.
type Layer struct {
	Digest string        // "sha256:..."
	Size   int64         // compressed bytes
	Refs   []flatten.Ref // the buildpacks that it holds, if any
}

// Size returns a ref's compressed bytes: those of its version, or else of its id.
func (f *File) Size(r flatten.Ref) (bytes int64, known bool) {
	if bytes, known = f.Sizes[r]; known {
		return bytes, true
	}
	bytes, known = f.Sizes[flatten.Ref{ID: r.ID}]
	return bytes, known
}

// Expansions returns what each release holds, with owner sets, in the order of
// the releases. Orders count as one group each: a history has no more of them.
func (f *File) Expansions() []flatten.Expansion {
	ms := f.Modules()
	expansions := make([]flatten.Expansion, len(f.Releases))
	for i, release := range f.Releases {
		expansions[i], _ = ms.ExpandAll(release.Buildpacks) // Check has seen the faults
	}
	return expansions
}

// Modules are all composites, and all else that is named anywhere.
func (f *File) Modules() flatten.Modules {
	ms := flatten.Modules{}
	component := func(r flatten.Ref) {
		if _, known := ms[r]; !known {
			ms[r] = flatten.Module{Kind: flatten.Buildpack, Info: flatten.Info{ID: r.ID, Version: r.Version}}
		}
	}
	for r, children := range f.Composites {
		m := flatten.Module{Kind: flatten.Buildpack, Info: flatten.Info{ID: r.ID, Version: r.Version}, Order: flatten.Order{{}}}
		for _, child := range children {
			m.Order[0].Entries = append(m.Order[0].Entries, flatten.Entry{ID: child.ID, Version: child.Version})
			component(child)
		}
		ms[r] = m
	}
	for _, release := range f.Releases {
		for _, r := range release.Buildpacks {
			component(r)
		}
	}
	return ms
}
