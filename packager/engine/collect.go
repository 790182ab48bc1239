package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/image"
)

// OnConflict selects the content to use if sources have different contents for a ref. The zero
// value means an error.
type OnConflict string

// The ways to resolve a conflict.
const (
	UseFirst OnConflict = "first" // use the first source
	UseLast  OnConflict = "last"  // use the last source, like pack
	// Refuse is an error that proposes no other way, for commands without an option for it.
	Refuse OnConflict = "refuse"
)

// ParseOnConflict parses the value of an option.
func ParseOnConflict(s string) (OnConflict, error) {
	switch o := OnConflict(s); o {
	case UseFirst, UseLast:
		return o, nil
	}
	return "", fmt.Errorf("invalid choice %q; use first or last", s)
}

// Collection is the union of the modules of an image's sources.
type Collection struct {
	Modules Modules
	// Problems are the warnings of the sources, and a warning for each resolved conflict.
	Problems config.Problems

	on    OnConflict
	byDir map[string]*image.Module
	// unused are the refs, by diffID of a layer, whose content in that layer is not used.
	unused map[v1.Hash]map[flatten.Ref]bool
}

// Collect returns the union of the modules of all packages. If several have the same ref with the
// same content, it uses the first, with the most complete metadata; if the contents differ, on
// decides. The error lists all conflicts; Modules are complete nevertheless.
func Collect(ctx context.Context, packages []*image.Package, on OnConflict) (*Collection, error) {
	c := &Collection{Modules: Modules{}, on: on, byDir: map[string]*image.Module{}, unused: map[v1.Hash]map[flatten.Ref]bool{}}
	var errs []error
	for _, p := range packages {
		c.Problems = append(c.Problems, p.Problems...)
		for _, m := range p.Modules {
			errs = append(errs, c.add(ctx, m))
		}
	}
	return c, errors.Join(errs...)
}

func (c *Collection) add(ctx context.Context, m *image.Module) error {
	dir := m.Kind.Dir(m.Ref())
	before := c.byDir[dir]
	switch {
	case before == nil:
		c.byDir[dir], c.Modules[m.Ref()] = m, m
		return nil
	case before.Ref() != m.Ref():
		c.Modules[m.Ref()] = m // so that it is not reported as missing
		return fmt.Errorf("%ss %s (%s) and %s (%s) share the directory %s; change the id or version of one", m.Kind, before.Ref(), before.Source, m.Ref(), m.Source, dir)
	}
	same, err := SameContent(ctx, before, m)
	if err != nil {
		return err
	}
	if same {
		before.Info = fuller(before.Info, m.Info)
		return nil
	}
	return c.settle(before, m)
}

// settle resolves a conflict between two contents of a ref.
func (c *Collection) settle(before, m *image.Module) error {
	used, left := before, m
	switch c.on {
	case UseFirst:
	case UseLast:
		used, left = m, before
	default:
		what := fmt.Sprintf("conflicting contents of %s %s in %s and in %s; change the version of one", m.Kind, m.Ref(), before.Source, m.Source)
		if c.on != Refuse {
			what += ", or choose one with --on-conflict first|last"
		}
		return errors.New(what)
	}
	c.byDir[m.Kind.Dir(m.Ref())], c.Modules[m.Ref()] = used, used
	if l := left.Layer; l != nil {
		if c.unused[l.Diff] == nil {
			c.unused[l.Diff] = map[flatten.Ref]bool{}
		}
		c.unused[l.Diff][m.Ref()] = true
	}
	if l := used.Layer; l != nil { // its content may have been unused before
		delete(c.unused[l.Diff], m.Ref())
	}
	c.Problems = append(c.Problems, config.Problem{Warning: true, Message: fmt.Sprintf(
		"conflicting contents of %s %s in %s and in %s; using %s (--on-conflict %s)", m.Kind, m.Ref(), before.Source, m.Source, used.Source, c.on)})
	return nil
}

// Packed returns the refs of each layer of the packages, in order and without duplicates, for
// [flatten.AsPackaged]. It omits layers with unused content, which cannot be kept.
func (c *Collection) Packed(packages []*image.Package) [][]flatten.Ref {
	var packed [][]flatten.Ref
	seen := map[v1.Hash]bool{}
	for diffID, refs := range c.unused {
		seen[diffID] = len(refs) > 0
	}
	for _, p := range packages {
		for _, m := range p.Modules {
			if m.Layer != nil && !seen[m.Layer.Diff] {
				seen[m.Layer.Diff] = true
				packed = append(packed, slices.Clone(m.Layer.Refs))
			}
		}
	}
	return packed
}

// fuller returns the more complete metadata of the same content: labels omit much of a descriptor.
func fuller(a, b flatten.Info) flatten.Info {
	says := func(i flatten.Info) int {
		return len(i.Description) + len(i.Keywords) + len(i.Licenses) + len(i.ExecEnv)
	}
	if says(b) > says(a) {
		return b
	}
	return a
}
