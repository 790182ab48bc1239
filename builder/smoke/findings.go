package smoke

import (
	"fmt"

	"laminate/builder/smoke/tardiff"
)

const (
	// anewFrom is how many bytes make a layer that is built again with the same bytes worth a finding.
	anewFrom = 1 << 20
	// pathsNamed is how many of the paths that differ a finding names.
	pathsNamed = 5
)

// Findings says what is bad in the second build, a sentence each: layers of buildpacks, and of the app,
// that are not as in the first build; large ones that were built again; and those that hold the app's
// files beside much else. It does nothing on a nil *Twice.
func (t *Twice) Findings() (all []string) {
	if t == nil {
		return nil
	}
	for _, l := range t.Layers {
		is := l.String()
		switch l.Outcome {
		case DifferentLayer:
			all = append(all, fmt.Sprintf("%s differs in the second build: %s", is, l.differences()))
		case NewLayer, GoneLayer:
			all = append(all, fmt.Sprintf("%s is in the image of one of the builds only", is))
		case SameLayer:
			if l.Written >= anewFrom {
				all = append(all, fmt.Sprintf("%s was built again with the same bytes: %s written", is, size(l.Written)))
			}
		}
		if l.AppFiles > 0 {
			all = append(all, fmt.Sprintf("%s holds the app's files (%d) with others, %s in all: it is new whenever the app is", is, l.AppFiles, size(l.Bytes)))
		}
	}
	return all
}

// String names the layer.
func (l TwiceLayer) String() string {
	if l.Buildpack == "" {
		return "layer " + clip(l.Name)
	}
	return "layer " + quote(l.Name) + " of " + clip(l.Buildpack)
}

// differences lists the first paths that differ.
func (l TwiceLayer) differences() string {
	var paths []string
	for _, c := range l.Changes[:min(len(l.Changes), pathsNamed)] {
		paths = append(paths, clip(c.Path)+" is "+differs[c.Kind])
	}
	said := list(paths)
	if more := len(l.Changes) + l.MoreChanges - len(paths); more > 0 {
		said += fmt.Sprintf(" and %d more", more)
	}
	return said
}

// differs are the kinds of a change in a sentence.
var differs = map[tardiff.Kind]string{tardiff.Added: "new", tardiff.Removed: "gone", tardiff.Changed: "different"}

// size writes a number of bytes for people.
func size(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
