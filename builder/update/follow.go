package update

import (
	"cmp"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
)

// plan returns what was decided, with what follows from it.
func (p *planning) plan() (*Plan, error) {
	plan := &Plan{files: p.files}
	for _, c := range p.choices {
		plan.Items = append(plan.Items, c.item())
		if !c.chosen {
			continue
		}
		edits, err := c.ref.edits(c.to, c.toTag)
		if err != nil {
			return nil, c.ref.problem(err)
		}
		value := c.to.String()
		if c.ref.lifecycle {
			value = c.ref.written(c.toTag)
		}
		plan.changes = append(plan.changes, change{c.ref.file, c.ref.path, value, edits})
		if err := p.pair(plan, c); err != nil {
			return nil, err
		}
	}
	for _, f := range p.files {
		for _, e := range f.entries {
			if err := p.follow(plan, e); err != nil {
				return nil, err
			}
		}
	}
	slices.SortStableFunc(plan.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(p.index(a.File), p.index(b.File)), cmp.Compare(a.start, b.start))
	})
	return plan, nil
}

func (p *planning) index(path string) int {
	return slices.IndexFunc(p.files, func(f *file) bool { return f.Path == path })
}

// item describes a reference.
func (c *choice) item() Item {
	r := c.ref
	i := Item{
		File: r.file.Path, Line: r.text.Line, start: r.text.Start, Key: r.key, Name: r.repository, Status: c.status,
		From: cmp.Or(r.tag, r.inComment, c.from.tag), FromDigest: r.digest, Reason: c.reason, Links: c.links,
	}
	if r.left != "" {
		i.Name = r.text.Value
	}
	if c.newest != nil {
		i.Newest = c.newest.tag
	}
	if c.chosen {
		i.To, i.ToDigest = r.written(c.toTag), c.to.digest
	}
	return i
}

// written returns a tag as it is written in the value.
func (r *reference) written(tag string) string {
	if r.lifecycle && r.text.Value[0] == 'v' {
		return "v" + tag
	}
	return tag
}

// pair moves the version beside a uri.
func (p *planning) pair(plan *Plan, c *choice) error {
	if c.ref.pair == nil {
		return nil
	}
	text, ok := c.ref.file.doc.Text(c.ref.pair...)
	if !ok || text.Value == c.found.root.Version && (c.old == nil || text.Value != c.old.root.Version) {
		return nil
	}
	e := &entry{file: c.ref.file, key: fmt.Sprint(c.ref.pair[0]) + ".version", id: c.found.root.ID, text: text, path: c.ref.pair}
	if c.old == nil || text.Value != c.old.root.Version {
		plan.warn(e, fmt.Sprintf("%s stays: it is not the version that %s had", quoted(text.Value), c.ref.repository))
		return nil
	}
	return plan.move(e, c, c.found.root.Version)
}

// follow moves the version of an entry that an image had which changes. What an entry names itself
// has precedence over what other images have nested.
func (p *planning) follow(plan *Plan, e *entry) error {
	ref := flatten.Ref{ID: e.id, Version: e.text.Value}
	var by, stale *choice
	var versions []string
	stays := false
	for _, c := range p.choices {
		if !c.chosen || c.old == nil || c.found == nil || c.ref.kind != e.kind {
			continue
		}
		switch {
		case c.old.root == ref && c.found.root.ID == ref.ID:
			return plan.move(e, c, c.found.root.Version)
		case c.found.has(ref):
			stays = true
		case c.old.has(ref):
			by = cmp.Or(by, c)
			versions = append(versions, c.successors(ref)...)
		case c.old.root.ID == e.id:
			stale = c
		}
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	switch {
	case stays, by == nil && stale == nil:
	case by == nil:
		plan.warn(e, fmt.Sprintf("%s stays: %s had %s, and has %s now", ref, stale.ref.repository, stale.old.root, stale.found.root))
	case len(versions) == 1:
		return plan.move(e, by, versions[0])
	case len(versions) == 0:
		plan.warn(e, fmt.Sprintf("%s stays, but %s does not have it any more", ref, by.named()))
	default:
		plan.warn(e, fmt.Sprintf("%s stays, but %s has %s instead; choose one", ref, by.named(), flatten.AnyOf(versions)))
	}
	return nil
}

// named returns the new image's name.
func (c *choice) named() string { return c.ref.repository + ":" + c.toTag }

// successors returns the versions that stand for a ref of the old image in the new one: of several,
// those of the same major version.
func (c *choice) successors(ref flatten.Ref) []string {
	versions := c.found.refs[ref.ID]
	from, is := parseVersion(ref.Version)
	if !is {
		return versions
	}
	var near []string
	for _, v := range versions {
		if to, is := parseVersion(v); is && Minor.allows(from, to) {
			near = append(near, v)
		}
	}
	if len(near) > 0 {
		return near
	}
	return versions
}

// move adds the change of an entry that follows an image.
func (p *Plan) move(e *entry, by *choice, version string) error {
	edit, err := e.text.Replace(version)
	if err != nil {
		return config.Problem{File: e.file.Path, Line: e.text.Line, Message: err.Error(), Cause: err}
	}
	p.changes = append(p.changes, change{e.file, e.path, version, []config.Edit{edit}})
	p.Items = append(p.Items, Item{
		File: e.file.Path, Line: e.text.Line, start: e.text.Start, Key: e.key, Name: e.id, Status: Update,
		From: e.text.Value, To: version, Reason: "with " + by.named(),
	})
	return nil
}

func (p *Plan) warn(e *entry, message string) {
	p.Warnings = append(p.Warnings, config.Problem{File: e.file.Path, Line: e.text.Line, Message: message, Warning: true})
}

func quoted(s string) string { return fmt.Sprintf("%q", flatten.Clip(s)) }
