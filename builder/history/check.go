package history

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"laminate/flatten"
)

// Limits of a history file, which is untrusted. Real histories are far smaller: a builder of four
// years has 700 releases and 112 buildpacks.
const (
	maxFile       = 256 << 20 // bytes, unpacked
	maxReleases   = 20_000
	maxComposites = 100_000
	maxChildren   = 2_000 // of a composite, and top-level refs of a release
	maxRefs       = 2_000 // of a release, expanded
	maxLayers     = 4_000 // of a release
	maxSize       = 1 << 40
	// maxProblems is how many problems are reported.
	maxProblems = 20
)

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Check validates the history, and returns the first problems.
func (f *File) Check() error {
	c := &check{file: f}
	if f.Builder == "" {
		c.report("builder is missing")
	}
	if n := len(f.Releases); n == 0 || n > maxReleases {
		c.report("invalid number of releases: %d; the range is 1 to %d", n, maxReleases)
	}
	if n := len(f.Composites); n > maxComposites {
		c.report("too many composites: %d, the limit is %d", n, maxComposites)
	}
	c.sizes()
	c.composites()
	c.releases()
	if c.more > 0 {
		c.errs = append(c.errs, fmt.Errorf("and %d more problems", c.more))
	}
	return errors.Join(c.errs...)
}

type check struct {
	file *File
	errs []error
	more int
}

func (c *check) report(format string, args ...any) {
	if len(c.errs) == maxProblems {
		c.more++
		return
	}
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *check) sizes() {
	for _, r := range sorted(c.file.Sizes) {
		probe := r
		if probe.Version == "" {
			probe.Version = "0" // a size may be for all versions
		}
		if err := probe.Check(); err != nil {
			c.report("size of %q: %w", r, err)
		}
		c.size("size of "+r.String(), c.file.Sizes[r])
	}
}

func (c *check) size(what string, bytes int64) {
	if bytes < 0 || bytes > maxSize {
		c.report("%s: invalid size %d; the range is 0 to %d", what, bytes, int64(maxSize))
	}
}

func (c *check) composites() {
	for _, r := range sorted(c.file.Composites) {
		c.refs("composite "+r.String(), c.file.Composites[r])
		if err := r.Check(); err != nil {
			c.report("composite %q: %w", r, err)
		}
	}
}

// refs checks a list of unique refs.
func (c *check) refs(where string, refs []flatten.Ref) {
	if n := len(refs); n == 0 || n > maxChildren {
		c.report("%s: invalid number of buildpacks: %d; the range is 1 to %d", where, n, maxChildren)
	}
	seen := map[flatten.Ref]bool{}
	for _, r := range refs {
		if err := r.Check(); err != nil {
			c.report("%s: %q: %w", where, r, err)
		}
		if seen[r] {
			c.report("%s: duplicate entry %s", where, r)
		}
		seen[r] = true
	}
}

// releases checks each release. It expands only valid releases within the limits.
func (c *check) releases() {
	seen := map[string]bool{}
	for i, release := range c.file.Releases {
		where := "release " + release.Version
		switch {
		case release.Version == "":
			where = fmt.Sprintf("release %d", i+1)
			c.report("%s: version is missing", where)
		case seen[release.Version]:
			c.report("%s: duplicate release", where)
		}
		seen[release.Version] = true
		c.refs(where, release.Buildpacks)
	}
	if len(c.errs) > 0 {
		return
	}
	ms := c.file.Modules()
	told := map[flatten.Ref]bool{}
	for _, release := range c.file.Releases {
		where := "release " + release.Version
		e, found := ms.ExpandAll(release.Buildpacks)
		for _, p := range found {
			c.report("%s: composite %s: %s", where, p.In, p.Message)
		}
		if n := len(e.Refs); n > maxRefs {
			c.report("%s: too many buildpacks: %d, the limit is %d", where, n, maxRefs)
		}
		for _, r := range e.Refs {
			if _, known := c.file.Size(r); !known && !told[r] {
				told[r] = true
				c.report("%s: missing size of buildpack %s", where, r)
			}
		}
		if release.Layers != nil {
			c.layers(where, release.Layers, e.Refs)
		}
	}
}

// layers checks that the layers hold each ref of the release exactly once.
func (c *check) layers(where string, layers []Layer, refs []flatten.Ref) {
	if n := len(layers); n > maxLayers {
		c.report("%s: too many layers: %d, the limit is %d", where, n, maxLayers)
		return
	}
	missing := map[flatten.Ref]bool{}
	for _, r := range refs {
		missing[r] = true
	}
	for i, l := range layers {
		at := fmt.Sprintf("%s: layer %d", where, i+1)
		if !digest.MatchString(l.Digest) {
			c.report("%s: invalid digest %q", at, l.Digest)
		}
		c.size(at, l.Size)
		for _, r := range l.Refs {
			if !missing[r] {
				c.report("%s: buildpack %s is in another layer as well, or not in the release", at, r)
			}
			delete(missing, r)
		}
	}
	for _, r := range sorted(missing) {
		c.report("%s: buildpack %s is in no layer", where, r)
	}
}

// sorted returns the sorted keys of a map.
func sorted[V any](m map[flatten.Ref]V) []flatten.Ref {
	refs := make([]flatten.Ref, 0, len(m))
	for r := range m {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, flatten.Ref.Compare)
	return refs
}
