package collect

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"laminate/builder/history"
	"laminate/flatten"
)

// notes are the notes of a collected history.
type notes struct {
	Source   string `json:"source"`
	Platform string `json:"platform"`
	Sizes    string `json:"sizes"`
	// LeftOut are the skipped versions: not builders for the platform, or invalid.
	LeftOut []string `json:"left_out,omitempty"`
}

const (
	sourceNote = "manifests and labels of the repository's version tags"
	sizesNote  = "compressed bytes, from the manifests: of a buildpack's own layer, in the newest release in which it has one; " +
		"otherwise its part of the shared layer in the newest release, by uncompressed length where laminate's label gives it, else in equal parts"
)

// collection is a history that is being collected.
type collection struct {
	builder  string
	target   flatten.Target
	releases map[string]*reading // by version
	children map[flatten.Ref][]flatten.Ref
	leftOut  map[string]bool
	unsaved  int // versions added since the last save
}

// newCollection starts with an existing history, or nil.
func newCollection(builder string, target flatten.Target, have *history.File) (*collection, error) {
	c := &collection{builder: builder, target: target, releases: map[string]*reading{}, children: map[flatten.Ref][]flatten.Ref{}, leftOut: map[string]bool{}}
	if have == nil {
		return c, nil
	}
	var n notes
	if err := json.Unmarshal(have.Notes, &n); err != nil || n.Source != sourceNote || n.Sizes != sizesNote {
		return nil, fmt.Errorf("the existing history of %s was not collected from a registry; use another file", have.Builder)
	}
	if have.Builder != builder || n.Platform != target.String() {
		return nil, fmt.Errorf("the existing history is of %s for %s, not of %s for %s", have.Builder, n.Platform, builder, target)
	}
	for _, v := range n.LeftOut {
		c.leftOut[v] = true
	}
	for i, e := range have.Expansions() {
		r := &reading{release: have.Releases[i], children: map[flatten.Ref][]flatten.Ref{}, shares: map[flatten.Ref]int64{}}
		for _, ref := range e.Refs {
			r.children[ref] = have.Composites[ref]
			r.shares[ref], _ = have.Size(ref)
		}
		if err := c.add(r); err != nil {
			return nil, err
		}
	}
	c.unsaved = 0
	return c, nil
}

func (c *collection) has(version string) bool { return c.releases[version] != nil }

// date returns the creation time of a collected release.
func (c *collection) date(version string) (time.Time, bool) {
	if r := c.releases[version]; r != nil {
		return r.release.Date, true
	}
	return time.Time{}, false
}

// add adds a release. A history has one definition of each version of a composite: add refuses a
// release with a different one.
func (c *collection) add(r *reading) error {
	for _, ref := range slices.SortedFunc(maps.Keys(r.children), flatten.Ref.Compare) {
		if known, met := c.children[ref]; met && !slices.Equal(known, r.children[ref]) {
			return fmt.Errorf("composite %s differs from that in other releases", ref)
		}
	}
	maps.Copy(c.children, r.children)
	c.releases[r.release.Version] = r
	delete(c.leftOut, r.release.Version)
	c.unsaved++
	return nil
}

func (c *collection) leaveOut(version string) {
	if !c.leftOut[version] {
		c.leftOut[version] = true
		c.unsaved++
	}
}

// file returns the history collected so far.
func (c *collection) file() (*history.File, error) {
	var err error
	f := &history.File{Builder: c.builder, Composites: map[flatten.Ref][]flatten.Ref{}}
	n := notes{Source: sourceNote, Platform: c.target.String(), Sizes: sizesNote, LeftOut: slices.SortedFunc(maps.Keys(c.leftOut), compare)}
	if f.Notes, err = json.Marshal(n); err != nil {
		return nil, fmt.Errorf("notes: %w", err)
	}
	for ref, children := range c.children {
		if len(children) > 0 {
			f.Composites[ref] = children
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(c.releases), compare) {
		f.Releases = append(f.Releases, c.releases[v].release)
	}
	f.Sizes = c.sizes(f.Releases)
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("history of %s: %w", c.builder, err)
	}
	return f, nil
}

// sizes returns the size of each buildpack: that of its own layer, or its share of a layer, in the
// newest release that has it.
func (c *collection) sizes(releases []history.Release) map[flatten.Ref]int64 {
	sizes, own := map[flatten.Ref]int64{}, map[flatten.Ref]bool{}
	for _, release := range slices.Backward(releases) {
		for ref, share := range c.releases[release.Version].shares {
			if _, known := sizes[ref]; !known {
				sizes[ref] = share
			}
		}
		for _, l := range release.Layers {
			if len(l.Refs) == 1 && !own[l.Refs[0]] {
				own[l.Refs[0]] = true
				sizes[l.Refs[0]] = l.Size
			}
		}
	}
	return sizes
}
