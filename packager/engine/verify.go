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

// BugError says that an image does not hold what was planned. It is a
// bug in laminate, whatever the input.
type BugError struct{ Details []string }

func (e *BugError) Error() string {
	return "the image is not what was planned: " + strings.Join(e.Details, "; ")
}

// IsBug reports whether an error is a bug in laminate: something that it made
// is not what it should be.
func IsBug(err error) bool {
	var l *layer.BugError
	var i *BugError
	return errors.As(err, &l) || errors.As(err, &i)
}

// Verify checks what layers cannot check by themselves: that the image has the
// layers, one upon the other as they come, and that its label leads from every
// ref of them to the layer that holds it. Label may say more, of other layers.
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
			report("layer %d of buildpacks, %s, is not where it should be", i+1, diffID)
		}
		rest = rest[at+1:]
		if planned := slices.Concat(l.Plan.Refs, l.Plan.Extra); l.Pieces != nil && !sameRefs(refsOf(l.Pieces), planned) {
			report("layer %d of buildpacks holds %v, planned were %v", i+1, refsOf(l.Pieces), planned)
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
			report("its label has %s in layer %s, but it is in %s", r, said, diffID)
		}
	}
	if len(details) > 0 {
		slices.Sort(details)
		return &BugError{Details: details}
	}
	return nil
}
