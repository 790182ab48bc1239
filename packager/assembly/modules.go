package assembly

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/source"
)

// Modules are what the sources of one image hold, by ref.
type Modules map[flatten.Ref]*source.Module

// Collect takes the modules of all packages together; the problems are the
// doubts that the sources have about themselves. The same ref may come from
// several of them, if it has the same content in each; then the first counts,
// with the words of whichever has more of them.
// The error tells of all that clash. Modules are complete in spite of it.
func Collect(ctx context.Context, packages []*source.Package) (Modules, config.Problems, error) {
	all := Modules{}
	var problems config.Problems
	var errs []error
	byDir := map[string]*source.Module{}
	for _, p := range packages {
		problems = append(problems, p.Problems...)
		for _, m := range p.Modules {
			dir := m.Kind.Dir(m.Ref())
			before := byDir[dir]
			switch {
			case before == nil:
				byDir[dir] = m
				all[m.Ref()] = m
			case before.Ref() != m.Ref():
				all[m.Ref()] = m // or else it would seem not to be there
				errs = append(errs, fmt.Errorf("%ss %s (%s) and %s (%s) would both be %s; one of them needs another id or version", m.Kind, before.Ref(), before.Source, m.Ref(), m.Source, dir))
			default:
				errs = append(errs, clash(ctx, before, m))
				before.Info = fuller(before.Info, m.Info)
			}
		}
	}
	return all, problems, errors.Join(errs...)
}

// fuller gives what says more of the same content: labels leave out much of
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

// clash is the error of a ref that has another content in each of two sources.
func clash(ctx context.Context, a, b *source.Module) error {
	same, err := SameContent(ctx, a, b)
	if err != nil || same {
		return err
	}
	return fmt.Errorf("%s %s is not the same in %s and in %s: the contents differ; give one of them another version", a.Kind, a.Ref(), a.Source, b.Source)
}

// SameContent tells whether two modules have the same content. Neither is read
// where what is known of them suffices.
func SameContent(ctx context.Context, a, b *source.Module) (bool, error) {
	if a.Layer != nil && b.Layer != nil && a.Layer.Diff == b.Layer.Diff {
		return true, nil
	}
	idA, errA := contentID(ctx, a)
	idB, errB := contentID(ctx, b)
	return idA == idB, errors.Join(errA, errB)
}

// contentID gives a module's content identity. The module is read where its
// source does not tell.
func contentID(ctx context.Context, m *source.Module) (string, error) {
	if m.Layer != nil {
		for _, f := range m.Layer.Facts {
			if f.Ref == m.Ref() {
				return f.ContentID.String(), nil
			}
		}
	}
	facts, err := layer.Measure(ctx, layer.Member{Ref: m.Ref(), Piece: m.Piece})
	return facts.ContentID.String(), err
}

// Plain gives the modules as package flatten knows them.
func (ms Modules) Plain() flatten.Modules {
	plain := flatten.Modules{}
	for r, m := range ms {
		plain[r] = m.Module
	}
	return plain
}

// Problems says where in which file the faults of the orders are. Faults of an
// order that is none of the modules' own are left to the caller.
func (ms Modules) Problems(faults []flatten.Fault) config.Problems {
	var problems config.Problems
	for _, f := range faults {
		m := ms[f.In]
		if m == nil {
			continue
		}
		p := ProblemOf(m, f.Message, EntryPath("order", m.Order, f.Entry)...)
		if m.Layer != nil {
			p.Message = fmt.Sprintf("order of %s: %s", f.In, f.Message)
		}
		p.Warning = f.Warning
		problems = append(problems, p)
	}
	return problems
}

// ProblemOf gives an error in a module: at the path in its file, or, where
// there are but labels, in its source.
func ProblemOf(m *source.Module, message string, path ...any) config.Problem {
	if m.Layer != nil {
		return config.Problem{File: m.Source, Message: message}
	}
	return m.Doc.Problem(message, path...)
}

// EntryPath gives the path in a file of an order's entry that is counted over
// all groups; key is what the order is called there.
func EntryPath(key string, o flatten.Order, entry int) []any {
	for i, g := range o {
		if entry < len(g.Entries) {
			return []any{key, i, "group", max(entry, 0)}
		}
		entry -= len(g.Entries)
	}
	return []any{key}
}

// Packed gives the refs of each layer that the packages have, in the order of
// the packages, each layer once: what [flatten.AsPackaged] goes by.
func Packed(packages []*source.Package) [][]flatten.Ref {
	var packed [][]flatten.Ref
	seen := map[string]bool{}
	for _, p := range packages {
		for _, m := range p.Modules {
			if m.Layer != nil && !seen[m.Layer.Diff.String()] {
				seen[m.Layer.Diff.String()] = true
				packed = append(packed, slices.Clone(m.Layer.Refs))
			}
		}
	}
	return packed
}

// Double is a module that a layer holds which counts for nothing there: the
// label names another layer for it, or nobody has a use for it.
type Double struct {
	Ref flatten.Ref
	// Layer is the layer's number in the plan, from 1, and First that of the
	// layer for which it counts: 0 where that is none of the plan.
	Layer, First int
	// Bytes is its length, unpacked; -1 where nobody knows without reading it.
	Bytes int64
}

// Doubled gives what the layers of a plan hold for nothing, in their order.
// Only those that are used as they are can.
func (ms Modules) Doubled(plan flatten.LayerPlan) []Double {
	first := map[flatten.Ref]int{}
	for i, l := range plan {
		for _, r := range l.Refs {
			first[r] = i + 1
		}
	}
	var doubled []Double
	for i, l := range plan {
		for _, r := range l.Also {
			d := Double{Ref: r, Layer: i + 1, First: first[r], Bytes: -1}
			for _, f := range ms[l.Refs[0]].Layer.Facts {
				if f.Ref == r {
					d.Bytes = f.Length
				}
			}
			doubled = append(doubled, d)
		}
	}
	return doubled
}
