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

// Modules are the modules of an image's sources, by ref.
type Modules map[flatten.Ref]*image.Module

// SameContent reports whether two modules have the same content. It reads them only if their
// content identities are unknown.
func SameContent(ctx context.Context, a, b *image.Module) (bool, error) {
	if a.Layer != nil && b.Layer != nil && a.Layer.Diff == b.Layer.Diff {
		return true, nil
	}
	idA, errA := contentID(ctx, a)
	idB, errB := contentID(ctx, b)
	return idA == idB, errors.Join(errA, errB)
}

// contentID returns a module's content identity. It reads the module if its source has no label for
// it.
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

// Plain returns the modules as [flatten.Modules].
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

// ProblemOf returns an error about a module: at the path in its file or, if it comes from labels,
// about its source.
func ProblemOf(m *image.Module, message string, path ...any) config.Problem {
	if m.Layer != nil {
		return config.Problem{File: m.Source, Message: message}
	}
	return m.Doc.Problem(message, path...)
}

// EntryPath returns the path of an entry of an order, given its index over all groups; key is the
// key of the order in the file.
func EntryPath(key string, o flatten.Order, entry int) []any {
	for i, g := range o {
		if entry < len(g.Entries) {
			return []any{key, i, "group", max(entry, 0)}
		}
		entry -= len(g.Entries)
	}
	return []any{key}
}

// Double is an unused module in a layer: the label maps it to another layer, or the image does not
// need it.
type Double struct {
	Ref flatten.Ref
	// Layer is the layer's number in the plan, from 1; First is that of the layer that the label
	// names, or 0 if it is not in the plan.
	Layer, First int
	// Bytes is its unpacked length, or -1 if unknown.
	Bytes int64
}

// Doubled returns the unused modules in the layers of a plan, in order. Only layers that are used
// as packaged can.
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
