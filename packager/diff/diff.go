package diff

import (
	"cmp"
	"errors"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/image"
)

// Platforms compares the images of two locations. It pairs them by platform; if each location has
// one image, those are a pair.
func Platforms(old, new []*image.Image) (*Report, error) {
	r := &Report{Schema: Schema, AddedTargets: []string{}, RemovedTargets: []string{}, Images: []Diff{}}
	pairs := pairImages(old, new)
	for _, n := range new {
		o := pairs[n]
		if o == nil {
			r.AddedTargets = append(r.AddedTargets, platform(n))
			continue
		}
		d, err := Images(o, n)
		if err != nil {
			return nil, err
		}
		r.Images = append(r.Images, *d)
		old = slices.DeleteFunc(slices.Clone(old), func(other *image.Image) bool { return other == o })
	}
	for _, o := range old {
		r.RemovedTargets = append(r.RemovedTargets, platform(o))
	}
	r.Identical = len(r.AddedTargets)+len(r.RemovedTargets) == 0 && !slices.ContainsFunc(r.Images, func(d Diff) bool { return !d.Identical })
	return r, nil
}

// pairImages returns the old image for each new one that has one: of the same platform, and of the same
// version of its distribution as far as possible. Single images are a pair whatever their platforms.
func pairImages(old, new []*image.Image) map[*image.Image]*image.Image {
	if len(old) == 1 && len(new) == 1 {
		return map[*image.Image]*image.Image{new[0]: old[0]}
	}
	pairs, rest := map[*image.Image]*image.Image{}, slices.Clone(old)
	for _, sameVersion := range []bool{true, false} {
		for _, n := range new {
			i := slices.IndexFunc(rest, func(o *image.Image) bool {
				return platform(o) == platform(n) && (!sameVersion || o.Config.OSVersion == n.Config.OSVersion)
			})
			if pairs[n] == nil && i >= 0 {
				pairs[n] = rest[i]
				rest = slices.Delete(rest, i, i+1)
			}
		}
	}
	return pairs
}

// platform names the platform of an image; v8 is the default variant of arm64.
func platform(i *image.Image) string {
	t := i.Target
	if t.Arch == "arm64" && (t.Variant == "v8" || t.Variant == "8") {
		t.Variant = ""
	}
	return t.String()
}

// Images compares two images.
func Images(old, new *image.Image) (*Diff, error) {
	o, err := sideOf(old)
	if err != nil {
		return nil, err
	}
	n, err := sideOf(new)
	if err != nil {
		return nil, err
	}
	d := &Diff{Target: platform(new), Old: o.about, New: n.about}
	d.Identical = o.about.Digest == n.about.Digest && o.about.ID == n.about.ID
	if o.about.Digest == "" || n.about.Digest == "" {
		d.Identical = o.about.ID == n.about.ID
	}
	d.Orders = compareOrders(o, n, d.compareModules(o, n))
	d.Values, d.Lists, d.Env = compareValues(o, n), compareLists(o, n), compareEnv(o, n)
	d.Labels = compareLabels(old.Config.Config.Labels, new.Config.Config.Labels)
	d.uncover(o, n)
	d.Layers = compareLayers(o, n)
	return d, nil
}

// Empty reports whether nothing that is compared differs.
func (d *Diff) Empty() bool {
	l := d.Layers
	return len(d.Modules)+len(d.Orders)+len(d.Values)+len(d.Lists)+len(d.Env)+len(d.Labels) == 0 &&
		l.New+l.Recompressed+l.Dropped == 0 && d.Old.Layers == d.New.Layers && !slices.ContainsFunc(l.All, func(l Layer) bool { return !l.InPrefix })
}

// side is one of the images, with what is known about it.
type side struct {
	*image.Image
	about    Image
	modules  map[moduleKey]*module
	byLayer  map[*image.Layer]int // numbers, from 1
	builder  *image.BuilderLabels // empty if it is not a builder
	metadata flatten.Metadata     // zero if it is not a buildpackage
	layers   []blob
	bytes    *int64
}

// blob is what is known about a layer's blob.
type blob struct {
	diffID, digest v1.Hash // a zero digest is unknown
	bytes          *int64
	layer          *image.Layer
}

// key identifies the blob in its image.
func (b blob) key() v1.Hash { return cmp.Or(b.digest, b.diffID) }

func sideOf(i *image.Image) (*side, error) {
	s := &side{Image: i, modules: map[moduleKey]*module{}, byLayer: map[*image.Layer]int{}}
	if err := s.readLayers(); err != nil {
		return nil, err
	}
	id, err := i.ConfigName()
	if err != nil {
		return nil, err
	}
	s.about = Image{Kind: string(i.Kind()), Target: i.Target.String(), ID: id.String(), Layers: len(s.layers), Bytes: s.bytes, Problems: []string{}}
	if s.Stored() {
		digest, err := i.Digest()
		if err != nil {
			return nil, err
		}
		s.about.Digest = digest.String()
	}
	s.readLabels()
	s.about.Most = flatten.EngineLimit
	if i.Kind() == image.Builder {
		s.about.Most = flatten.Budget(!s.builder.System.Empty())
	}
	s.about.Headroom = s.about.Most - len(s.layers)
	return s, nil
}

// readLayers collects digests and sizes from the manifest. Those of layers that are not stored
// would have to be computed.
func (s *side) readLayers() error {
	total, known, seen := int64(0), true, map[v1.Hash]bool{}
	for n, l := range s.Contents() {
		b := blob{diffID: l.Diff, layer: l}
		s.byLayer[l] = n + 1
		if l.Stored {
			d, err := l.Descriptor()
			if err != nil {
				return err
			}
			b.digest, b.bytes = d.Digest, &d.Size
		}
		if known = known && b.bytes != nil; known && !seen[b.key()] {
			seen[b.key()] = true
			total += *b.bytes
		}
		s.layers = append(s.layers, b)
	}
	if known {
		s.bytes = &total
	}
	return nil
}

// readLabels decodes the labels, and collects what is wrong with them.
func (s *side) readLabels() {
	s.builder = &image.BuilderLabels{}
	labels := s.Config.Config.Labels
	var err error
	switch s.Kind() {
	case image.Builder:
		s.builder, err = s.BuilderLabels()
		s.problem(err)
	case image.Buildpackage, image.Extension:
		s.metadata, err = flatten.ParseMetadata(labels[flatten.BuildpackageMetadataLabel])
		s.problem(err)
		s.about.Ref = s.root().String()
	}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		found, err := s.Found(kind)
		s.problem(err)
		s.readModules(kind, found)
	}
}

// root is the root of a buildpackage, or zero.
func (s *side) root() flatten.Ref {
	return flatten.Ref{ID: s.metadata.ID, Version: s.metadata.Version}
}

// problem notes an error, or those that it joins.
func (s *side) problem(err error) {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &joined):
		for _, e := range joined.Unwrap() {
			s.problem(e)
		}
	default:
		s.about.Problems = append(s.about.Problems, err.Error())
	}
}
