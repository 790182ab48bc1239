package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"laminate/packager/config"
)

// DefaultJobs is the default of [Options.Jobs]. Each waits for its registry most of the time, whose
// requests have a limit of their own.
const DefaultJobs = 32

// LifecycleRepository is the default of [Options.Lifecycle]: its tags are the versions of the
// lifecycle.
const LifecycleRepository = "docker.io/buildpacksio/lifecycle"

// Options are the options of [Files.Plan].
type Options struct {
	Registry Registry
	// Lifecycle is the repository whose tags are the versions of the lifecycle; "" means
	// LifecycleRepository.
	Lifecycle string
	// Only limits how far versions move; "" means Major.
	Only Only
	// Jobs is how many references are looked up concurrently; 0 means DefaultJobs.
	Jobs int
}

// Status is what becomes of a value.
type Status string

// The statuses.
const (
	Update  Status = "update"  // it changes
	Current Status = "current" // nothing newer
	Held    Status = "held"    // there is something newer, or may be, that it must not move to
	Moving  Status = "moving"  // its tag moves
	Skipped Status = "skipped" // not in a registry, or its version is unknown
)

// Item is a value in a file, and what becomes of it.
type Item struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Key is the dotted path of the value, without indexes.
	Key string `json:"key"`
	// Name is a repository or, of an entry that follows its image, an id.
	Name   string `json:"name"`
	Status Status `json:"status"`
	// From and To are tags or versions. To is "" unless the status is Update.
	From string `json:"from"`
	To   string `json:"to,omitempty"`
	// FromDigest and ToDigest are set for references with a digest.
	FromDigest string `json:"from_digest,omitempty"`
	ToDigest   string `json:"to_digest,omitempty"`
	// Newest is the newest version that the reference must not move to.
	Newest string `json:"newest,omitempty"`
	// Reason is why it stays, or what it follows.
	Reason string `json:"reason,omitempty"`
	Links  Links  `json:"links,omitzero"`

	start int
}

// Plan says what each value of the files becomes.
type Plan struct {
	// Items are in the order of the files.
	Items []Item
	// Warnings are about values that could not follow.
	Warnings config.Problems

	files   []*file
	changes []change
}

// change is a value that changes.
type change struct {
	file  *file
	path  []any
	value string
	edits []config.Edit
}

// Changes returns the number of values that change.
func (p *Plan) Changes() int { return len(p.changes) }

// Plan asks the registries, and decides. It returns all errors at once, each with its place.
func (f *Files) Plan(ctx context.Context, o Options) (*Plan, error) {
	p := &planning{
		Options: o, files: f.files,
		asked: asked{registry: o.Registry, tags: map[string]func() ([]version, error){}, images: map[string]func() (described, error){}},
	}
	for _, file := range f.files {
		for _, r := range file.refs {
			if r.lifecycle {
				r.repository = cmp.Or(o.Lifecycle, LifecycleRepository)
			}
			p.choices = append(p.choices, &choice{ref: r, limits: limits{o.Only, r.limit.constraint}})
		}
	}
	if err := p.each(ctx, p.lookUp); err != nil {
		return nil, err
	}
	p.together()
	if err := p.each(ctx, p.settle); err != nil {
		return nil, err
	}
	return p.plan()
}

// planning is the state of [Files.Plan].
type planning struct {
	Options
	asked
	files   []*file
	choices []*choice
}

// choice is what is decided about a reference.
type choice struct {
	ref    *reference
	limits limits

	status     Status
	reason     string
	from       version   // zero if it has none
	candidates []version // newer or the same, and allowed
	newest     *version  // without limits
	chosen     bool
	to         image
	toTag      string
	old, found *modules // of a buildpackage that changes
	links      Links
}

// each runs a step for every reference, concurrently, and joins the errors in the order of the
// references.
func (p *planning) each(ctx context.Context, step func(context.Context, *choice) error) error {
	errs := make([]error, len(p.choices))
	var group errgroup.Group
	group.SetLimit(cmp.Or(p.Jobs, DefaultJobs))
	for i, c := range p.choices {
		group.Go(func() error {
			if ctx.Err() == nil {
				errs[i] = c.ref.problem(step(ctx, c))
			}
			return nil
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// lookUp finds the versions that a reference may move to.
func (p *planning) lookUp(ctx context.Context, c *choice) error {
	r := c.ref
	if r.left != "" {
		c.status, c.reason = Skipped, r.left
		return nil
	}
	tag := cmp.Or(r.tag, r.inComment)
	from, is := parseVersion(tag)
	if !is && r.digest != "" && r.tag == "" && !c.limits.pin {
		var err error
		if from, is, err = p.labelled(ctx, c); err != nil {
			return err
		}
	}
	if r.lifecycle {
		from.v = "" // tags have none
	}
	switch {
	case !is && r.limit.ranges != nil && r.limit.limited == 1 && (r.digest == "" || r.kind == ""):
		return fmt.Errorf("the constraint %s has nothing to compare with: %s is not a version", r.limit.text, cmp.Or(tag, "latest"))
	case c.limits.pin:
		c.status, c.reason = Held, "pinned"
		if is {
			c.from, c.candidates = from, []version{from}
		}
		return nil
	case !is && r.digest != "" && r.tag == "":
		c.status, c.reason = Skipped, "its version is unknown; write its tag in a comment on the line, as # 1.2.3"
		return nil
	case !is && r.digest == "":
		c.status, c.reason = Moving, fmt.Sprintf("the tag %s moves", cmp.Or(tag, "latest"))
		return nil
	case !is:
		c.choose(r.tag) // and compare digests
		return nil
	}
	c.from = from
	versions, err := p.versions(ctx, r.image)
	if err != nil {
		return err
	}
	c.consider(versions)
	return nil
}

// labelled returns the version of a reference without a tag: that of its buildpackage, in the form
// in which it is tagged.
func (p *planning) labelled(ctx context.Context, c *choice) (version, bool, error) {
	if c.ref.kind == "" {
		return version{}, false, nil // base images have no such label
	}
	old, err := p.describe(ctx, c.ref.image, c.ref.digest)
	if err != nil {
		return version{}, false, err
	}
	m, err := modulesOf(old, c.ref.kind)
	if err != nil {
		return version{}, false, err
	}
	v, is := parseVersion(m.root.Version)
	if !is {
		return v, false, nil
	}
	versions, err := p.versions(ctx, c.ref.image)
	for _, tagged := range versions {
		if tagged.tag == "v"+v.tag && !slices.ContainsFunc(versions, func(o version) bool { return o.tag == v.tag }) {
			return tagged, true, err
		}
	}
	return v, true, err
}

// consider keeps the versions that the reference may move to, and the newest of all.
func (c *choice) consider(versions []version) {
	for _, v := range versions {
		if !v.sameShape(c.from) || v.compare(c.from) < 0 || v.isPre() && !c.from.isPre() {
			continue
		}
		if c.newest == nil || v.compare(*c.newest) > 0 {
			c.newest = &v
		}
		if v.compare(c.from) == 0 || c.limits.allows(c.from, v) == "" {
			c.candidates = append(c.candidates, v)
		}
	}
	if !slices.ContainsFunc(c.candidates, func(v version) bool { return v.tag == c.from.tag }) {
		c.candidates = append(c.candidates, c.from) // a deleted tag
	}
	slices.SortFunc(c.candidates, version.compare)
}

// choose makes the reference move to a tag.
func (c *choice) choose(tag string) {
	c.chosen, c.toTag, c.to = true, tag, c.ref.image
	if c.ref.tag != "" {
		c.to.tag = tag
	}
}
