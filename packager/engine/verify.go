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

// FaultyImageError says that an image does not hold what was planned. It is a
// bug in laminate, whatever the input.
type FaultyImageError struct{ Faults []string }

func (e *FaultyImageError) Error() string {
	return "the image is not what was planned: " + strings.Join(e.Faults, "; ")
}

// IsFault tells whether an error is a bug in laminate: something that it made
// is not what it should be.
func IsFault(err error) bool {
	var l *layer.FaultError
	var i *FaultyImageError
	return errors.As(err, &l) || errors.As(err, &i)
}

// Verify checks what layers cannot check by themselves: that the image has the
// layers, one upon the other as they come, and that its label leads from every
// ref of them to the layer that holds it. Label may say more, of other layers.
func Verify(config *v1.ConfigFile, layers []Layer, label flatten.LayersLabel) error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	holds := map[flatten.Ref]v1.Hash{}
	rest := config.RootFS.DiffIDs
	for i, l := range layers {
		diffID, err := l.DiffID()
		if err != nil {
			return err
		}
		at := slices.Index(rest, diffID)
		if at < 0 {
			fault("layer %d of buildpacks, %s, is not where it should be", i+1, diffID)
		}
		rest = rest[at+1:]
		if planned := slices.Concat(l.Plan.Refs, l.Plan.Extra); l.Pieces != nil && !sameRefs(refsOf(l.Pieces), planned) {
			fault("layer %d of buildpacks holds %v, planned were %v", i+1, refsOf(l.Pieces), planned)
		}
		if held := refsOf(l.Pieces); !slices.Equal(held, flatten.Neighbours(held)) {
			fault("layer %d of buildpacks holds %v, where modules that share a directory are not next to each other", i+1, held)
		}
		for _, r := range l.Plan.Refs {
			if _, twice := holds[r]; twice {
				fault("%s is in two layers", r)
			}
			holds[r] = diffID
		}
	}
	for r, diffID := range holds {
		if said := label[r.ID][r.Version].LayerDiffID; said != diffID.String() {
			fault("its label has %s in layer %s, but it is in %s", r, said, diffID)
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return &FaultyImageError{Faults: faults}
	}
	return nil
}
