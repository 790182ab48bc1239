package inspect

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/image"
)

// readJobs is how many layers are read concurrently.
const readJobs = 4

// metadataLimit is the most bytes that all descriptors may have together whose [metadata] is kept.
const metadataLimit = 32 << 20

// Read reads the layers of the images, which are those that the report was made of, and adds what
// labels do not tell. Each layer is read once, and verified: an error means that it is damaged, or
// that it cannot be read. Memory does not grow with the layers.
func (r *Report) Read(ctx context.Context, images []*image.Image) error {
	reading := &reading{surveys: map[layerKey]*survey{}}
	var surveys []*survey
	for n, img := range images {
		for i, l := range img.Contents() {
			key := keyOf(l)
			s := reading.surveys[key]
			if s == nil {
				s = &survey{layer: l, descriptors: map[string]*descriptor{}}
				reading.surveys[key] = s
				surveys = append(surveys, s)
			}
			s.want(r.Images[n].Modules, i+1)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readJobs)
	for _, s := range surveys {
		group.Go(func() error { return s.layer.Named(s.read(ctx, reading)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for n, img := range images {
		problems := r.Images[n].add(img, reading)
		r.Images[n].Problems = append(r.Images[n].Problems, few(problems, 0)...)
	}
	return nil
}

// reading is what the layers of all images hold.
type reading struct {
	surveys map[layerKey]*survey
	kept    atomic.Int64 // bytes of descriptors
}

// layerKey is what layers have in common that images for several platforms share. Both digests are
// claims, and each blob must be checked against both.
type layerKey struct {
	diffID, digest v1.Hash
	layer          *image.Layer // nil if the digest is known
}

func keyOf(l *image.Layer) layerKey {
	if l.Stored {
		if digest, err := l.Digest(); err == nil {
			return layerKey{l.Diff, digest, nil}
		}
	}
	return layerKey{diffID: l.Diff, layer: l}
}

// tooMuch reports whether there is too much metadata to be kept. Then none is, so that the result
// does not depend on the order in which layers were read.
func (r *reading) tooMuch() bool { return r.kept.Load() > metadataLimit }

// survey is what a layer holds.
type survey struct {
	layer       *image.Layer
	length      int64
	dirs        map[string]layer.ModuleDir // by path
	descriptors map[string]*descriptor     // the wanted ones, by path
}

// descriptor is the buildpack.toml or extension.toml of a module.
type descriptor struct {
	kind     flatten.Kind
	ref      flatten.Ref
	metadata config.Metadata
	problem  error
}

// want adds the descriptors of the modules in the layer with the number.
func (s *survey) want(modules []Module, number int) {
	for _, m := range modules {
		if m.Layer == number {
			kind, ref := m.identity()
			s.descriptors[descriptorPath(kind, ref)] = &descriptor{kind: kind, ref: ref}
		}
	}
}

func (s *survey) read(ctx context.Context, r *reading) error {
	found, err := layer.Survey(ctx, s.layer.Open, func(name string) bool { return s.descriptors[name] != nil })
	if err != nil {
		return err
	}
	s.length, s.dirs = found.Length, map[string]layer.ModuleDir{}
	for _, d := range found.Modules {
		s.dirs[d.Path] = d
	}
	for path, d := range s.descriptors {
		data, is := found.Files[path]
		why := found.Unread[path]
		switch r.kept.Add(int64(len(data))); {
		case why != "":
			d.problem = fmt.Errorf("%s of %s %s", d.kind.Descriptor(), d.ref, why)
		case !is:
			d.problem = fmt.Errorf("%s of %s is not in its layer", d.kind.Descriptor(), d.ref)
		case !r.tooMuch():
			d.metadata, d.problem = config.ParseMetadata(d.ref.String()+"/"+d.kind.Descriptor(), data)
		}
	}
	return nil
}

// identity returns the kind and the ref of a module.
func (m *Module) identity() (flatten.Kind, flatten.Ref) {
	return flatten.Kind(m.Kind), flatten.Ref{ID: m.ID, Version: m.Version}
}

func descriptorPath(kind flatten.Kind, ref flatten.Ref) string {
	return kind.Dir(ref) + "/" + kind.Descriptor()
}

// add adds what reading found.
func (img *Image) add(of *image.Image, r *reading) (problems []error) {
	contents := of.Contents()
	for i := range img.Layers {
		img.Layers[i].Bytes = &r.surveys[keyOf(contents[i])].length
	}
	for i := range img.Modules {
		m := &img.Modules[i]
		kind, ref := m.identity()
		s := r.surveys[keyOf(contents[m.Layer-1])]
		if dir, is := s.dirs[kind.Dir(ref)]; is {
			n := dir.Bytes + dir.IDDir
			m.Bytes = &n
		}
		if r.tooMuch() {
			continue
		}
		d := s.descriptors[descriptorPath(kind, ref)]
		m.add(d.metadata)
		if d.problem != nil {
			problems = append(problems, d.problem)
		}
	}
	if r.tooMuch() {
		problems = append(problems, fmt.Errorf("the descriptors have more than %d MiB; their [metadata] is ignored", metadataLimit>>20))
	}
	return problems
}

// add adds the metadata of a descriptor.
func (m *Module) add(found config.Metadata) {
	m.Dependencies, m.DefaultVersions = []Dependency{}, map[string]string{}
	maps.Copy(m.DefaultVersions, found.DefaultVersions)
	for _, d := range found.Dependencies {
		m.Dependencies = append(m.Dependencies, Dependency{
			ID: d.ID, Name: d.Name, Version: d.Version, Checksum: d.Checksum, URI: d.URI, Source: d.Source,
			Stacks: d.Stacks, OS: d.OS, Arch: d.Arch, Licenses: d.Licenses, PURL: d.PURL, Deprecated: d.Deprecated,
		})
	}
}
