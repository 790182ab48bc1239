package smoke

import (
	"fmt"
	"strconv"

	"laminate/builder/smoke/ownership"
)

// writesListed is how many writes into the layers of others are listed as warnings or failures.
const writesListed = 20

// judge takes down what buildpacks did outside of their layers and turns, and returns what of it is a
// failure.
func (r *Result) judge(mode LayerWrites, b *Built) (failures []Failure) {
	r.LayerWrites, r.Outlived = b.LayerWrites, append(append([]Outlived{}, b.Outlived...), b.Left...)
	found := writesSaid(b.LayerWrites)
	for _, o := range b.Outlived {
		found = append(found, o.String()+" outlived "+o.turn())
	}
	if mode == FailOnWrites || mode == RefuseWrites {
		for _, text := range found {
			failures = append(failures, Failure{Message: text})
		}
		found = nil
	}
	r.Warnings = append(r.Warnings, found...)
	if b.LayerWritesErr != nil {
		r.LayerWritesError = b.LayerWritesErr.Error()
		r.Warnings = append(r.Warnings, "not all changes in layers of other buildpacks were found: "+r.LayerWritesError)
	}
	for _, o := range b.Left {
		failures = append(failures, Failure{Message: o.String() + " outlived the build; it was ended"})
	}
	if b.Stopped != nil {
		failures = append(failures, Failure{Message: b.Stopped.Error()})
	}
	return failures
}

// unseen says of an app that passes that this does not mean that its buildpacks write to their own layers
// only.
func (r *Result) unseen(mode LayerWrites) {
	if mode == RefuseWrites && r.Status == Passed {
		r.Warnings = append(r.Warnings, "writes into the layers of other buildpacks that were refused are not known: a buildpack that ignores the refusal goes on; --layer-writes fail finds them")
	}
}

// hint says what may be behind the failure of a build in which buildpacks could write to their own layers
// only.
func (r *Result) hint(mode LayerWrites, b *Built) {
	if mode == RefuseWrites && b.Stopped == nil && b.ExitCode != 0 {
		r.Warnings = append(r.Warnings, "writes into the layers of other buildpacks were refused in this build; --layer-writes warn lists them")
	}
}

// writesSaid describes writes, one a line.
func writesSaid(writes []ownership.Write) (all []string) {
	for i, w := range writes {
		if i == writesListed {
			return append(all, fmt.Sprintf("%d more changes in layers of other buildpacks; the JSON report lists all", len(writes)-i))
		}
		what := "layer " + strconv.Quote(w.Layer)
		if w.Layer == "" {
			what = "the directory"
		}
		all = append(all, fmt.Sprintf("%s %s %s, in %s of %s", clip(w.Buildpack), w.Change, clip(w.Path), what, clip(w.Owner)))
	}
	return all
}
