package collect

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"laminate/packager/image"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/builder/history"
	"laminate/flatten"
	"laminate/packager/registry"
)

// Annotations of a manifest (OCI image spec, "Pre-Defined Annotation Keys").
const (
	createdAnnotation   = "org.opencontainers.image.created"
	baseImageAnnotation = "org.opencontainers.image.base.name"
)

// textLimit is the maximum length of texts from images.
const textLimit = 300

// reading is the data from one image.
type reading struct {
	release history.Release
	// children are the refs that each composite of the release names; components have none.
	children map[flatten.Ref][]flatten.Ref
	// shares are each buildpack's share of its layer.
	shares map[flatten.Ref]int64
}

// newReading reads the labels of a builder. Its result is valid for [history.File.Check] as a
// history of one release.
func newReading(builder, version string, img *image.Image) (*reading, error) {
	if img.Kind() != image.Builder {
		return nil, fmt.Errorf("not a builder: missing label %s", flatten.BuilderMetadataLabel)
	}
	labels, err := img.BuilderLabels()
	if err != nil {
		return nil, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	listed, err := img.Modules(flatten.Buildpack)
	if err != nil {
		return nil, err
	}
	modules := flatten.Modules{}
	for _, m := range listed {
		modules[m.Ref()] = m.Module
	}
	if len(modules) == 0 {
		return nil, errors.New("no buildpacks")
	}
	top, missing := modules.TopLevel(labels.Entries())
	if len(missing) > 0 {
		return nil, fmt.Errorf("order names %s, which has %d matches", missing[0].Ref(), len(modules.Finder().Find(missing[0])))
	}
	r := &reading{release: history.Release{
		Version: version, Date: made(img.Config, manifest), Buildpacks: top,
		Lifecycle: text(labels.Lifecycle.Version), BuildImage: text(manifest.Annotations[baseImageAnnotation]),
	}}
	if err := r.expand(modules); err != nil {
		return nil, err
	}
	r.measure(img, listed, manifest)
	return r, r.check(builder)
}

// expand expands the release like creating a builder, and records what each composite names.
func (r *reading) expand(modules flatten.Modules) error {
	e, found := modules.ExpandAll(r.release.Buildpacks)
	for _, f := range found {
		if !f.Warning {
			return fmt.Errorf("composite %s: %s", f.In, f.Message)
		}
	}
	r.children = map[flatten.Ref][]flatten.Ref{}
	finder := modules.Finder()
	for _, ref := range e.Refs {
		var children []flatten.Ref
		seen := map[flatten.Ref]bool{}
		for _, entry := range modules[ref].Order.Entries() {
			for _, child := range finder.Find(entry) {
				if !seen[child] {
					seen[child] = true
					children = append(children, child)
				}
			}
		}
		r.children[ref] = children
	}
	return nil
}

// measure records the layers, and each buildpack's share.
func (r *reading) measure(img *image.Image, listed []*image.Module, manifest *v1.Manifest) {
	holds := map[v1.Hash][]flatten.Ref{} // by diffID
	for _, m := range listed {
		holds[m.Layer.Diff] = m.Layer.Refs
	}
	r.shares = map[flatten.Ref]int64{}
	for i, l := range manifest.Layers { // as many as diffIDs, which package image checks
		diffID := img.Config.RootFS.DiffIDs[i]
		refs := holds[diffID]
		delete(holds, diffID) // a layer may occur twice
		lengths := lengthsOf(img.Recipes.Facts(diffID), refs)
		for j, part := range split(l.Size, lengths) {
			r.shares[refs[j]] = part
		}
		r.release.Layers = append(r.release.Layers, history.Layer{Digest: l.Digest.String(), Size: l.Size, Refs: refs})
	}
}

// lengthsOf returns the lengths of a layer's pieces in laminate's label, or all 1 if the label does
// not match these refs.
func lengthsOf(facts []flatten.Facts, refs []flatten.Ref) []uint64 {
	known := map[flatten.Ref]uint64{}
	for _, f := range facts {
		known[f.Ref] = uint64(f.Length) // always positive
	}
	lengths := make([]uint64, len(refs))
	var sum uint64
	for i, ref := range refs {
		lengths[i] = known[ref]
		sum += known[ref] // of as many as fit below 1<<63, each
		if known[ref] == 0 || sum >= 1<<63 || len(known) != len(refs) {
			return slices.Repeat([]uint64{1}, len(refs))
		}
	}
	return lengths
}

// split divides bytes in the proportion of lengths, which are positive; the
// parts add up to the whole.
func split(bytes int64, lengths []uint64) []int64 {
	var sum, end uint64
	for _, l := range lengths {
		sum += l
	}
	var parts []int64
	var given int64
	for _, l := range lengths {
		end += l
		high, low := bits.Mul64(uint64(max(bytes, 0)), end)
		upTo, _ := bits.Div64(high, low, sum) // fits: end is no more than sum
		parts = append(parts, int64(upTo)-given)
		given = int64(upTo)
	}
	return parts
}

// check validates the release by itself.
func (r *reading) check(builder string) error {
	alone := &history.File{
		Builder: builder, Sizes: r.shares,
		Composites: map[flatten.Ref][]flatten.Ref{}, Releases: []history.Release{r.release},
	}
	for ref, children := range r.children {
		if len(children) > 0 {
			alone.Composites[ref] = children
		}
	}
	return alone.Check()
}

// made returns the creation time of an image, or the zero time. Times before 2013 are constants of
// reproducible builds.
func made(config *v1.ConfigFile, manifest *v1.Manifest) time.Time {
	annotated, _ := time.Parse(time.RFC3339, manifest.Annotations[createdAnnotation]) // zero if invalid
	for _, t := range []time.Time{config.Created.Time, annotated} {
		if t = t.UTC(); t.Year() >= 2013 && t.Year() < 2200 {
			return t.Truncate(time.Second)
		}
	}
	return time.Time{}
}

// text returns a text from an image, or "" if it is not fit for a file.
func text(s string) string {
	if len(s) > textLimit || registry.Shorten(s) != s {
		return ""
	}
	return s
}
