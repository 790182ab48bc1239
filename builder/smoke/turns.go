package smoke

import (
	"strings"

	"laminate/builder/smoke/ownership"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
)

// buildpacksDir holds the buildpacks of a builder, each in ID/VERSION.
const buildpacksDir = "/cnb/buildpacks/"

// watch lets the spec look at the layers between the turns of the buildpacks, if that is asked for, and
// returns what ends it.
func (b *build) watch(spec *sandbox.Spec) (end func() ([]ownership.Write, error), err error) {
	if !b.LayerWrites {
		return func() ([]ownership.Write, error) { return nil, nil }, nil
	}
	modules, err := b.Builder.Modules(flatten.Buildpack)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range modules {
		ids = append(ids, m.Ref().ID)
	}
	if b.added != nil {
		for _, r := range b.added.refs {
			ids = append(ids, r.ID)
		}
	}
	turns, err := ownership.New(b.in(layersDir), ids)
	if err != nil {
		return nil, err
	}
	spec.Watch = &sandbox.Watch{
		Programs: []string{buildpacksDir + "*/*/bin/build"},
		Began: func(e sandbox.Exec) (*sandbox.Access, error) {
			if id, _, _ := strings.Cut(strings.TrimPrefix(e.Path, buildpacksDir), "/"); e.Direct {
				turns.Begin(id)
			}
			return nil, nil
		},
	}
	return turns.End, nil
}
