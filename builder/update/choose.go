package update

import (
	"context"
	"fmt"
	"slices"

	"laminate/packager/registry"
)

// together chooses the version of each reference that has one. A run image and its mirrors move to
// the newest version that all of them have.
func (p *planning) together() {
	groups := map[string][]*choice{}
	for _, c := range p.choices {
		switch {
		case c.from.core == nil:
			continue
		case c.ref.group == "" && !c.limits.pin:
			c.decide(c.candidates, "")
		}
		if c.ref.group == "" {
			continue
		}
		key := c.ref.file.Path + " " + c.ref.group + " " + c.from.variant
		groups[key] = append(groups[key], c)
	}
	for _, group := range groups {
		common := slices.Clone(group[0].candidates)
		for _, other := range group[1:] {
			common = slices.DeleteFunc(common, func(v version) bool { return !other.has(v) })
		}
		for _, c := range group {
			if !c.limits.pin {
				c.decide(common, missingIn(group, c))
			}
		}
	}
}

func (c *choice) has(v version) bool {
	return slices.ContainsFunc(c.candidates, func(o version) bool { return o.compare(v) == 0 })
}

// missingIn returns the repository that keeps a member of a group from its own newest version.
func missingIn(group []*choice, c *choice) string {
	if len(c.candidates) == 0 {
		return ""
	}
	best := c.candidates[len(c.candidates)-1]
	for _, other := range group {
		if !other.has(best) {
			return other.ref.repository
		}
	}
	return ""
}

// decide chooses the newest of versions, in the form in which the reference is tagged.
func (c *choice) decide(versions []version, missing string) {
	var to version
	for _, v := range c.candidates {
		if slices.ContainsFunc(versions, func(o version) bool { return o.compare(v) == 0 }) {
			to = v
		}
	}
	c.status = Current
	if to.core != nil && to.compare(c.from) > 0 {
		c.status = Update
		c.choose(to.tag)
	} else {
		to = c.from
	}
	if c.newest == nil || c.newest.compare(to) <= 0 {
		c.newest = nil
		return
	}
	if c.status == Current {
		c.status = Held
	}
	switch by := c.limits.allows(c.from, *c.newest); {
	case by != "" && c.limits.ranges != nil && by == c.limits.text && !c.limits.contains(c.from):
		c.reason = fmt.Sprintf("%s itself is not in %s, and nothing newer is", c.from, by)
		if c.status == Update {
			c.reason = "limited by " + by
		}
	case by != "":
		c.reason = "limited by " + by
	case missing != "":
		c.reason = fmt.Sprintf("%s does not have it, or must not move to it", missing)
	}
}

// settle reads the image that a reference moves to, and the one that it comes from.
func (p *planning) settle(ctx context.Context, c *choice) error {
	if !c.chosen {
		return nil
	}
	r := c.ref
	if c.from.core == nil { // a moving tag; its digest costs less than its manifest
		digest, err := p.registry.Digest(ctx, r.repository, r.tag)
		if err == nil && digest == "" {
			err = fmt.Errorf("%s:%s does not exist, or is not accessible", r.repository, r.tag)
		}
		if err != nil || digest == r.digest {
			c.status, c.chosen = Current, false
			return err
		}
	}
	found, err := p.describe(ctx, c.to, c.toTag)
	if err != nil {
		return err
	}
	if r.digest != "" {
		c.to.digest = found.digest
	}
	c.status, c.links = Update, linksOf(found.labels, c.toTag)
	if r.kind == "" {
		return nil
	}
	if c.found, err = modulesOf(found, r.kind); err != nil {
		return fmt.Errorf("%s:%s: %w", r.repository, c.toTag, err)
	}
	return p.compare(ctx, c)
}

// compare compares the buildpackage that a reference moves to with that which it comes from.
func (p *planning) compare(ctx context.Context, c *choice) error {
	reference := c.ref.digest
	if reference == "" {
		reference = c.from.tag
	}
	was, err := p.describe(ctx, c.ref.image, reference)
	switch {
	case err != nil && registry.IsAbsent(err):
	case err != nil:
		return err
	default:
		c.old, _ = modulesOf(was, c.ref.kind) // labels that are invalid tell nothing
	}
	if c.old == nil { // but the tag tells the version
		if c.from.core != nil {
			c.old = onlyRoot(c.found.root.ID, c.from.tag[len(c.from.v):])
		}
		return nil
	}
	from, versioned := parseVersion(c.old.root.Version)
	to, both := parseVersion(c.found.root.Version)
	switch {
	case c.old.root.ID != c.found.root.ID:
		c.hold(fmt.Sprintf("%s has %s instead of %s", c.toTag, c.found.root.ID, c.old.root.ID))
	case c.from.core == nil && c.limits.ranges != nil && !both:
		c.hold(fmt.Sprintf("%s has %s now, which cannot be compared with %s", c.toTag, c.found.root, c.limits.text))
	case c.from.core == nil && versioned && both && to.compare(from) < 0:
		c.hold(fmt.Sprintf("%s has %s now, which is older", c.toTag, c.found.root))
	case c.from.core == nil && versioned && both && c.limits.allows(from, to) != "":
		c.hold(fmt.Sprintf("%s has %s now; limited by %s", c.toTag, c.found.root, c.limits.allows(from, to)))
	}
	return nil
}

// hold keeps the reference as it is.
func (c *choice) hold(reason string) {
	c.status, c.reason, c.chosen = Held, reason, false
}
