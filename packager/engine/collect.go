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

// OnConflict says which content counts where sources have different contents of one ref. The zero
// value refuses them.
type OnConflict string

// What can be done about a conflict.
const (
	UseFirst OnConflict = "first" // use that of the source that is named first
	UseLast  OnConflict = "last"  // use that of the source that is named last, as pack does
)

// ParseOnConflict reads the name of one.
func ParseOnConflict(s string) (OnConflict, error) {
	switch o := OnConflict(s); o {
	case UseFirst, UseLast:
		return o, nil
	}
	return "", fmt.Errorf("invalid choice %q; it is first or last", s)
}

// Collection is what the sources of one image hold, taken together.
type Collection struct {
	Modules Modules
	// Problems are the doubts that the sources have about themselves, and a
	// warning for each conflict that was settled.
	Problems config.Problems

	on    OnConflict
	byDir map[string]*image.Module
	// unused are the refs whose content in a layer, by its diffID, does not count.
	unused map[v1.Hash]map[flatten.Ref]bool
}

// Collect takes the modules of all packages together. The same ref may come
// from several of them. If it has the same content in each, the first counts,
// with the words of whichever has more of them; else on decides.
// The error names every conflict. Modules are complete in spite of it.
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
		c.Modules[m.Ref()] = m // or else it would seem not to be there
		return fmt.Errorf("%ss %s (%s) and %s (%s) would both be %s; one of them needs another id or version", m.Kind, before.Ref(), before.Source, m.Ref(), m.Source, dir)
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

// settle decides between two contents of one ref.
func (c *Collection) settle(before, m *image.Module) error {
	used, left := before, m
	switch c.on {
	case UseFirst:
	case UseLast:
		used, left = m, before
	default:
		return fmt.Errorf("%s %s is not the same in %s and in %s: the contents differ; give one of them another version, or use one of them with --on-conflict first|last",
			m.Kind, m.Ref(), before.Source, m.Source)
	}
	c.byDir[m.Kind.Dir(m.Ref())], c.Modules[m.Ref()] = used, used
	if l := left.Layer; l != nil {
		if c.unused[l.Diff] == nil {
			c.unused[l.Diff] = map[flatten.Ref]bool{}
		}
		c.unused[l.Diff][m.Ref()] = true
	}
	if l := used.Layer; l != nil { // which may have the content that did not count before
		delete(c.unused[l.Diff], m.Ref())
	}
	c.Problems = append(c.Problems, config.Problem{Warning: true, Message: fmt.Sprintf(
		"%s %s is not the same in %s and in %s: that of %s is used (--on-conflict %s)", m.Kind, m.Ref(), before.Source, m.Source, used.Source, c.on)})
	return nil
}

// Packed returns the refs of each layer that the packages have, in the order of
// the packages, each layer once: what [flatten.AsPackaged] goes by. A layer
// with a content that does not count cannot stay as it is, and is not among them.
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

// fuller returns what says more of the same content: labels leave out much of
// what a descriptor has.
func fuller(a, b flatten.Info) flatten.Info {
	says := func(i flatten.Info) int {
		return len(i.Description) + len(i.Keywords) + len(i.Licenses) + len(i.ExecEnv)
	}
	if says(b) > says(a) {
		return b
	}
	return a
}
