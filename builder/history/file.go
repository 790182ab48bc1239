package history

import (
	"encoding/json"
	"time"

	"laminate/flatten"
)

// File is a builder's history. The result of [Read] is valid and must not be modified; call
// [File.Check] for others before use.
type File struct {
	Builder string
	// Notes describe the origin of the data; nil or a JSON value.
	Notes json.RawMessage
	// Sizes are compressed bytes, by ref. A ref without a version applies to all versions without a
	// size of their own.
	Sizes map[flatten.Ref]int64
	// Composites are the refs that each composite names, in order.
	Composites map[flatten.Ref][]flatten.Ref
	// Releases are in the order in which they replaced each other.
	Releases []Release
}

// Release is one release of the builder.
type Release struct {
	Version    string
	Date       time.Time // zero if unknown
	Lifecycle  string
	BuildImage string
	// Buildpacks are the top-level refs, in the builder's order.
	Buildpacks []flatten.Ref
	// Layers are the image's layers, lowest first; nil if unknown.
	Layers []Layer
}

// Layer is a layer of a release, from its manifest.
type Layer struct {
	Digest string        // "sha256:..."
	Size   int64         // compressed bytes
	Refs   []flatten.Ref // the buildpacks that it holds, if any
}

// Size returns a ref's compressed size: that of its version, or of its id.
func (f *File) Size(r flatten.Ref) (bytes int64, known bool) {
	if bytes, known = f.Sizes[r]; known {
		return bytes, true
	}
	bytes, known = f.Sizes[flatten.Ref{ID: r.ID}]
	return bytes, known
}

// Expansions returns the expansion of each release, in order. Orders are treated as one group.
func (f *File) Expansions() []flatten.Expansion {
	ms := f.Modules()
	expansions := make([]flatten.Expansion, len(f.Releases))
	for i, release := range f.Releases {
		expansions[i], _ = ms.ExpandAll(release.Buildpacks) // Check has reported the problems
	}
	return expansions
}

// Modules returns all composites, and all other refs in the history.
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
