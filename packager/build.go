package packager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// Image is a buildpackage: whole, checked, and not written anywhere yet. Its
// layers are read from the work directory and from the sources.
type Image struct {
	v1.Image
	Target flatten.Target
	Layers []Layer
}

// Layer is one layer of an [Image].
type Layer struct {
	v1.Layer
	Plan   flatten.PlannedLayer
	Pieces []flatten.Facts
	// Reused tells that the layer is used as a source has it.
	Reused bool
}

// Build builds the image: layers that a source has already are taken as they
// are, the others are written to the work directory. A [layer.FaultError] in
// the error is a bug in laminate.
func (j *Job) Build(ctx context.Context) (*Image, error) {
	img := &Image{Target: j.Target}
	for _, planned := range j.Plan {
		l, err := j.layer(ctx, planned)
		if err != nil {
			return nil, err
		}
		img.Layers = append(img.Layers, l)
	}
	var err error
	if img.Image, err = j.assemble(img.Layers); err != nil {
		return nil, err
	}
	return img, verify(img, j.Expansion.Refs)
}

// layer gives the layer that holds what is planned.
func (j *Job) layer(ctx context.Context, planned flatten.PlannedLayer) (Layer, error) {
	if have := j.inSource(planned); have != nil {
		l, err := j.reuse(ctx, have, planned)
		if err != nil || l.Reused {
			return l, err
		}
	}
	var members []layer.Member
	for _, r := range planned.Refs {
		members = append(members, layer.Member{Ref: r, Piece: j.modules[r].Piece})
	}
	task := j.options.Log.Start(progress.Building, Title(planned), -1)
	built, err := layer.Build(ctx, members, layer.BuildOptions{
		Kind: j.options.Config.Kind, Compression: j.options.Compression, Progress: task.Add,
		Path: j.blobs.next(),
	})
	task.Done(err)
	if err != nil {
		return Layer{}, err
	}
	return Layer{Layer: built, Plan: planned, Pieces: built.Pieces}, nil
}

// Title names a layer for a person: by what it holds.
func Title(l flatten.PlannedLayer) string {
	if len(l.Refs) == 1 {
		return l.Refs[0].String()
	}
	return fmt.Sprintf("%s and %d more", l.Refs[0], len(l.Refs)-1)
}

// inSource gives a layer of a source that holds just the refs that are
// planned, compressed as is wanted, or nil.
func (j *Job) inSource(planned flatten.PlannedLayer) *source.Layer {
	l := j.modules[planned.Refs[0]].Layer
	if l == nil || !l.Stored || l.Compression != j.options.Compression || !sameRefs(l.Refs, planned.Refs) {
		return nil
	}
	for _, r := range planned.Refs {
		if j.modules[r].Layer != l { // from another source, though in the label of this one
			return nil
		}
	}
	return l
}

func sameRefs(a, b []flatten.Ref) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), flatten.Ref.Compare), slices.SortedFunc(slices.Values(b), flatten.Ref.Compare))
}

// reuse takes a source's layer as it is. One of which nothing is known is read
// first; where it is not in the shape that platforms expect, it is not reused.
func (j *Job) reuse(ctx context.Context, have *source.Layer, planned flatten.PlannedLayer) (Layer, error) {
	l := Layer{Layer: have.Reuse(), Plan: planned, Pieces: have.Facts, Reused: true}
	if !sameRefs(refsOf(have.Facts), have.Refs) {
		local, err := j.blobs.local(ctx, have)
		if err != nil {
			return Layer{}, err
		}
		report, err := layer.Inspect(ctx, j.options.Config.Kind, have.Refs, local.Open)
		if err != nil {
			return Layer{}, fmt.Errorf("%s: %w", j.modules[planned.Refs[0]].Source, err)
		}
		l.Layer, l.Pieces, l.Reused = local.reuse(), report.Pieces, report.Untidy == ""
	}
	if l.Reused {
		size, err := l.Size()
		if err != nil {
			return Layer{}, err
		}
		j.options.Log.Note(progress.Reused, Title(planned), size)
	}
	return l, nil
}

func refsOf(pieces []flatten.Facts) []flatten.Ref {
	var refs []flatten.Ref
	for _, p := range pieces {
		refs = append(refs, p.Ref)
	}
	return refs
}

// FaultyImageError says that an image does not hold what was planned. It is a
// bug in laminate, whatever the input.
type FaultyImageError struct{ Faults []string }

func (e *FaultyImageError) Error() string {
	return "the image is not what was planned: " + strings.Join(e.Faults, "; ")
}

// verify checks what layers cannot check by themselves: that the image has
// just the layers that it should, and that its label leads from every ref to
// the layer that holds it.
func verify(img *Image, refs []flatten.Ref) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	label, err := layersLabel(config)
	if err != nil {
		return err
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	holds := map[flatten.Ref]v1.Hash{}
	for i, l := range img.Layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		if i >= len(config.RootFS.DiffIDs) || config.RootFS.DiffIDs[i] != diffID {
			fault("layer %d is not %s", i+1, diffID)
		}
		if !sameRefs(refsOf(l.Pieces), l.Plan.Refs) {
			fault("layer %d holds %v, planned were %v", i+1, refsOf(l.Pieces), l.Plan.Refs)
		}
		for _, p := range l.Pieces {
			if _, twice := holds[p.Ref]; twice {
				fault("%s is in two layers", p.Ref)
			}
			holds[p.Ref] = diffID
		}
	}
	if len(config.RootFS.DiffIDs) != len(img.Layers) {
		fault("it has %d layers, planned were %d", len(config.RootFS.DiffIDs), len(img.Layers))
	}
	if !sameRefs(label.Refs(), refs) {
		fault("its label has %v, planned were %v", label.Refs(), refs)
	}
	for _, r := range label.Refs() {
		if label[r.ID][r.Version].LayerDiffID != holds[r].String() {
			fault("its label has %s in layer %s, but it is in %s", r, label[r.ID][r.Version].LayerDiffID, holds[r])
		}
	}
	if len(faults) > 0 {
		return &FaultyImageError{Faults: faults}
	}
	return nil
}

// IsFault tells whether an error is a bug in laminate: something that it made
// is not what it should be.
func IsFault(err error) bool {
	var l *layer.FaultError
	var i *FaultyImageError
	return errors.As(err, &l) || errors.As(err, &i)
}

// next gives the path of a new file in the work directory.
func (b *blobs) next() string {
	return filepath.Join(b.dir, fmt.Sprintf("layer-%d", atomic.AddInt64(&b.count, 1)))
}
