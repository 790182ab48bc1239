package update

import (
	"errors"
	"fmt"

	"laminate/flatten"
	"laminate/packager/registry"
)

// modules are what a buildpackage holds.
type modules struct {
	root flatten.Ref
	refs map[string][]string // the versions of each id
}

var errNoPackage = errors.New("not a buildpackage")

// modulesOf reads the labels of a buildpackage.
func modulesOf(d described, kind flatten.Kind) (*modules, error) {
	key := flatten.BuildpackLayersLabel
	if kind != "" {
		key = kind.LayersLabelKey()
	}
	layers, labelled := d.labels[key]
	metadata, is := d.labels[flatten.BuildpackageMetadataLabel]
	if !labelled || !is {
		what := errNoPackage
		if kind == flatten.Extension {
			what = fmt.Errorf("%w of an extension", what)
		}
		return nil, what
	}
	root, err := flatten.ParseMetadata(metadata)
	label, invalid := flatten.ParseLayersLabel(layers)
	if err = errors.Join(err, invalid); err != nil { // which may have thousands of lines
		return nil, registry.Reword(err, registry.Shorten(err.Error()))
	}
	m := onlyRoot(root.ID, root.Version)
	for _, r := range label.Refs() {
		if r != m.root {
			m.refs[r.ID] = append(m.refs[r.ID], r.Version)
		}
	}
	return m, nil
}

func onlyRoot(id, version string) *modules {
	return &modules{root: flatten.Ref{ID: id, Version: version}, refs: map[string][]string{id: {version}}}
}

// has reports whether a ref is in the buildpackage.
func (m *modules) has(r flatten.Ref) bool {
	for _, v := range m.refs[r.ID] {
		if v == r.Version {
			return true
		}
	}
	return false
}
