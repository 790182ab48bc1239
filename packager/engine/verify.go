package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// BugError reports that an image differs from its plan. It is always a bug in laminate, never in
// the input.
type BugError struct{ Details []string }

func (e *BugError) Error() string {
	return "image differs from its plan: " + strings.Join(e.Details, "; ")
}

// IsBug reports whether an error is a bug in laminate: a [BugError] or a [layer.BugError].
func IsBug(err error) bool {
	var l *layer.BugError
	var i *BugError
	return errors.As(err, &l) || errors.As(err, &i)
}

// Verify checks that the image has the layers in order, and that its label maps every ref to the
// layer that holds it. Label may have entries for other layers.
func Verify(config *v1.ConfigFile, layers []Layer, label flatten.LayersLabel) error {
	var details []string
	report := func(format string, args ...any) { details = append(details, fmt.Sprintf(format, args...)) }
	holds := map[flatten.Ref]v1.Hash{}
	rest := config.RootFS.DiffIDs
	for i, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		at := slices.Index(rest, diffID)
		if at < 0 {
			report("layer %d of buildpacks, %s, is out of order", i+1, diffID)
		}
		rest = rest[at+1:]
		if planned := slices.Concat(l.Plan.Refs, l.Plan.Extra); l.Pieces != nil && !sameRefs(refsOf(l.Pieces), planned) {
			report("layer %d of buildpacks holds %v, expected %v", i+1, refsOf(l.Pieces), planned)
		}
		if held := refsOf(l.Pieces); !slices.Equal(held, flatten.Neighbours(held)) {
			report("layer %d of buildpacks holds %v, where modules that share a directory are not next to each other", i+1, held)
		}
		for _, r := range l.Plan.Refs {
			if _, twice := holds[r]; twice {
				report("%s is in two layers", r)
			}
			holds[r] = diffID
		}
	}
	for r, diffID := range holds {
		if said := label[r.ID][r.Version].LayerDiffID; said != diffID.String() {
			report("label has %s in layer %s, but it is in %s", r, said, diffID)
		}
	}
	if len(details) > 0 {
		slices.Sort(details)
		return &BugError{Details: details}
	}
	return nil
}
