package engine

import (
	"context"
	"errors"
	"fmt"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/image"
)

// Modules are what the sources of one image hold, by ref.
type Modules map[flatten.Ref]*image.Module

// SameContent reports whether two modules have the same content. Neither is read
// where what is known of them suffices.
func SameContent(ctx context.Context, a, b *image.Module) (bool, error) {
	if a.Layer != nil && b.Layer != nil && a.Layer.Diff == b.Layer.Diff {
		return true, nil
	}
	idA, errA := contentID(ctx, a)
	idB, errB := contentID(ctx, b)
	return idA == idB, errors.Join(errA, errB)
}

// contentID returns a module's content identity. The module is read where its
// source does not tell.
func contentID(ctx context.Context, m *image.Module) (string, error) {
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

// Plain returns the modules as package flatten knows them.
func (ms Modules) Plain() flatten.Modules {
	plain := flatten.Modules{}
	for r, m := range ms {
		plain[r] = m.Module
	}
	return plain
}

// Problems adds file and line to the problems of the orders. It leaves out those of orders that
// belong to none of the modules; the caller reports them.
func (ms Modules) Problems(inOrders []flatten.Problem) config.Problems {
	var problems config.Problems
	for _, f := range inOrders {
		m := ms[f.In]
		if m == nil {
			continue
		}
		p := config.Problem{File: m.Source, Message: fmt.Sprintf("order of %s: %s", f.In, f.Message)}
		if m.Layer == nil {
			p = ProblemOf(m, f.Message, EntryPath("order", m.Order, f.Entry)...)
		}
		p.Warning = f.Warning
		problems = append(problems, p)
	}
	return problems
}

// ProblemOf returns an error in a module: at the path in its file, or, where
// there are but labels, in its source.
func ProblemOf(m *image.Module, message string, path ...any) config.Problem {
	if m.Layer != nil {
		return config.Problem{File: m.Source, Message: message}
	}
	return m.Doc.Problem(message, path...)
}

// EntryPath returns the path in a file of an order's entry that is counted over
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

// Doubled returns what the layers of a plan hold for nothing, in their order.
// Only layers that are used as packaged can.
func (ms Modules) Doubled(plan []Resolved) []Double {
	first := map[flatten.Ref]int{}
	for i, l := range plan {
		for _, r := range l.Plan.Refs {
			first[r] = i + 1
		}
	}
	var doubled []Double
	for i, l := range plan {
		for _, r := range l.Plan.Extra {
			d := Double{Ref: r, Layer: i + 1, First: first[r], Bytes: -1}
			for _, f := range ms[l.Plan.Refs[0]].Layer.Facts {
				if f.Ref == r {
					d.Bytes = f.Length
				}
			}
			doubled = append(doubled, d)
		}
	}
	return doubled
}
