package sink

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/flatten"
)

// A naming is a reference and the manifest that it will refer to.
type naming struct {
	ref      name.Reference
	manifest manifest
}

// suffixed returns a tag for each image of an index, like pack's --append-image-name-suffix:
// TAG-os-arch[-variant], without "latest-", in the repository of the first reference, unless that
// is a digest. It refuses duplicate tags.
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
			wrong = append(wrong, fmt.Errorf("output: duplicate tag %s: also used for the image for %s; choose another tag, or omit --append-image-name-suffix", spelled(ref), targets[i]))
		default:
			taken[ref.Name()] = true
			all = append(all, naming{ref, contents[i].manifest})
		}
	}
	return all, errors.Join(wrong...)
}

// suffixes returns a unique tag suffix for each target. It includes distributions only if targets
// do not differ otherwise.
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
