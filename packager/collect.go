package packager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/config"
	"laminate/packager/source"
)

// modules are what the sources of one image hold, by ref.
type modules struct {
	modules map[flatten.Ref]*source.Module
	order   []flatten.Ref // as the sources hold them
}

// collect takes the modules of all packages together. The same ref may come
// from several of them, if it has the same content in each.
func collect(ctx context.Context, packages []*source.Package) (modules, config.Problems, error) {
	all := modules{modules: map[flatten.Ref]*source.Module{}}
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
				all.modules[m.Ref()] = m
				all.order = append(all.order, m.Ref())
			case before.Ref() != m.Ref():
				all.modules[m.Ref()] = m // or else it would seem not to be there
				errs = append(errs, fmt.Errorf("buildpacks %s (%s) and %s (%s) would both be %s; one of them needs another id or version", before.Ref(), before.Source, m.Ref(), m.Source, dir))
			default:
				errs = append(errs, sameContent(ctx, before, m))
			}
		}
	}
	return all, problems, errors.Join(errs...)
}

// sameContent tells whether a ref that comes from two sources has the same
// content in both. Neither is read where what is known of them suffices.
func sameContent(ctx context.Context, a, b *source.Module) error {
	if a.Layer != nil && b.Layer != nil && a.Layer.Diff == b.Layer.Diff {
		return nil
	}
	idA, errA := contentID(ctx, a)
	idB, errB := contentID(ctx, b)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if idA != idB {
		return fmt.Errorf("buildpack %s is not the same in %s and in %s: the contents differ; give one of them another version", a.Ref(), a.Source, b.Source)
	}
	return nil
}

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

// plain gives the modules as package flatten knows them.
func (ms modules) plain() flatten.Modules {
	plain := flatten.Modules{}
	for r, m := range ms.modules {
		plain[r] = m.Module
	}
	return plain
}

func (ms modules) expand(root flatten.Ref) (flatten.Expansion, []flatten.Fault) {
	return ms.plain().Expand(root)
}

// orderProblems says where in which buildpack.toml the faults of the orders are.
func (ms modules) orderProblems(faults []flatten.Fault) config.Problems {
	var problems config.Problems
	for _, f := range faults {
		m := ms.modules[f.In]
		p := problemOf(m, f.Message, entryPath(m.Order, f.Entry)...)
		if m.Layer != nil {
			p.Message = fmt.Sprintf("order of %s: %s", f.In, f.Message)
		}
		p.Warning = f.Warning
		problems = append(problems, p)
	}
	return problems
}

// problemOf gives an error in a module: at the path in its file, or, where
// there are but labels, in its source.
func problemOf(m *source.Module, message string, path ...any) config.Problem {
	if m.Layer != nil {
		return config.Problem{File: m.Source, Message: message}
	}
	return m.Doc.Problem(message, path...)
}

// entryPath gives the path of an entry that is counted over all groups.
func entryPath(o flatten.Order, entry int) []any {
	for i, g := range o {
		if entry < len(g.Entries) {
			return []any{"order", i, "group", max(entry, 0)}
		}
		entry -= len(g.Entries)
	}
	return []any{"order"}
}

// unused reports dependencies of which the expansion has nothing.
func (p *preparation) unused(packages []*source.Package, e flatten.Expansion) config.Problems {
	var problems config.Problems
	for i, pkg := range packages[1:] {
		if !slices.ContainsFunc(pkg.Modules, func(m *source.Module) bool { return slices.Contains(e.Refs, m.Ref()) }) {
			problems = append(problems, p.options.Config.Problem(
				fmt.Sprintf("dependency %s (%s) is used by nobody: neither %s nor what it is made of names it", pkg.Name, pkg.Root, e.Root),
				"dependencies", i))
		}
	}
	return problems
}

// check reports buildpacks that do not go together.
func (j *Job) check() config.Problems {
	var problems config.Problems
	for _, r := range j.Expansion.Refs {
		m := j.modules[r]
		if !supports(m.Module, j.Target) {
			problems = append(problems, problemOf(m, fmt.Sprintf("buildpack %s is for %s, not for %s", r, names(m.Targets), j.Target), "targets"))
		}
	}
	components := slices.DeleteFunc(j.plain(), func(m flatten.Module) bool { return m.IsComposite() || m.Kind == flatten.Extension })
	if len(components) > 0 && len(flatten.CommonStacks(components)) == 0 {
		problems = append(problems, config.Problem{File: j.modules[j.Expansion.Root].Source,
			Message: "the buildpacks have no stack in common: " + stackList(components)})
	}
	return problems
}

// plain gives the modules of the expansion, in its order.
func (j *Job) plain() []flatten.Module {
	var plain []flatten.Module
	for _, r := range j.Expansion.Refs {
		plain = append(plain, j.modules[r].Module)
	}
	return plain
}

// supports tells whether a module runs on the target's platform. What it does
// not say, or what nobody knows yet, does not count.
func supports(m flatten.Module, t flatten.Target) bool {
	fits := func(has, want string) bool { return has == "" || want == "" || has == want }
	return len(m.Targets) == 0 || slices.ContainsFunc(m.Targets, func(own flatten.Target) bool {
		return fits(own.OS, t.OS) && fits(own.Arch, t.Arch) && fits(own.Variant, t.Variant)
	})
}

// stackList says which stacks each of the components supports that does not
// support them all.
func stackList(components []flatten.Module) string {
	var each []string
	for _, m := range components {
		var ids []string
		for _, stack := range m.Stacks {
			ids = append(ids, stack.ID)
		}
		if len(ids) > 0 && !slices.Contains(ids, flatten.AnyStack) {
			each = append(each, m.Ref().String()+" supports "+strings.Join(ids, ", "))
		}
	}
	return strings.Join(each, "; ")
}
