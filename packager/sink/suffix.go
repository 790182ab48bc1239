package sink

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/flatten"
)

// A naming lets a reference name a manifest.
type naming struct {
	ref      name.Reference
	manifest manifest
}

// suffixed returns a tag for each image of an index beside the index's, as
// pack's --append-image-name-suffix does: TAG-os-arch[-variant], without
// "latest-". The tags are those of the first reference's repository; a digest
// has none. One that the image or the index gets as well is refused.
func suffixed(refs []name.Reference, contents []content, o Options) ([]naming, error) {
	top, isTag := refs[0].(name.Tag)
	if !isTag || len(contents) < 2 || !o.Suffix {
		return nil, nil
	}
	targets := make([]flatten.Target, len(contents))
	for i, c := range contents {
		targets[i] = c.target
	}
	taken := map[string]bool{}
	for _, ref := range refs {
		taken[ref.Name()] = true
	}
	var all []naming
	var wrong []error
	for i, s := range suffixes(targets) {
		if t := top.TagStr(); t != name.DefaultTag {
			s = t + "-" + s
		}
		ref, err := o.registry().ParseReference(strings.TrimSuffix(spelled(top), ":"+top.TagStr()) + ":" + s)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("output: tag for %s: %w", targets[i], err))
		case taken[ref.Name()]:
			wrong = append(wrong, fmt.Errorf("output: duplicate tag %s: it is that of the image for %s as well; choose another tag, or leave out --append-image-name-suffix", spelled(ref), targets[i]))
		default:
			taken[ref.Name()] = true
			all = append(all, naming{ref, contents[i].manifest})
		}
	}
	return all, errors.Join(wrong...)
}

// suffixes are the targets as parts of tags, each another one: distributions
// stand in them only where targets do not differ otherwise.
func suffixes(targets []flatten.Target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		parts := []string{t.OS, t.Arch, t.Variant}
		if among(targets, func(o flatten.Target) bool { return o.OS == t.OS && o.Arch == t.Arch && o.Variant == t.Variant }) {
			for _, d := range t.Distros {
				parts = append(parts, d.Name, d.Version)
			}
		}
		all[i] = strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "-")
	}
	return all
}
