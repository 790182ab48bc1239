package smoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
)

// FromBuilder stands for the builder's order among added buildpacks.
const FromBuilder = "from=builder"

// adding is the state of [Session.add].
type adding struct {
	*Session
	builtIn  engine.Modules // of the builder
	finder   flatten.Finder // of those
	named    []named        // for each of Buildpacks
	packages []*image.Package
}

// named is what one of [Options.Buildpacks] names: the builder's order, if it is the zero value, a
// buildpack of the builder, or the first of some sources.
type named struct {
	own     flatten.Ref
	sources []engine.Source // a buildpack, and what its package.toml lists
	root    flatten.Ref     // of the opened package
}

func (n named) isOrder() bool { return n.own == (flatten.Ref{}) && len(n.sources) == 0 }

// locate finds out what the buildpacks are.
func (a *adding) locate() error {
	modules, err := a.Builder.Modules(flatten.Buildpack)
	if err != nil {
		return err
	}
	a.builtIn = byRef(modules)
	a.finder = a.builtIn.Plain().Finder()
	var errs []error
	for _, written := range a.Buildpacks {
		n, err := a.name(written)
		a.named, errs = append(a.named, n), append(errs, err)
	}
	return errors.Join(errs...)
}

func byRef(modules []*image.Module) engine.Modules {
	all := engine.Modules{}
	for _, m := range modules {
		all[m.Ref()] = m
	}
	return all
}

// name finds out what a buildpack is. A local path wins over a buildpack of the builder, and that
// over an image.
func (a *adding) name(written string) (named, error) {
	if written == FromBuilder {
		return named{}, nil
	}
	for _, prefix := range []string{"urn:cnb:builder", FromBuilder + ":"} {
		if id, is := strings.CutPrefix(written, prefix); is {
			return a.own(strings.TrimPrefix(id, ":"))
		}
	}
	loc, err := location.ParseSource(written, "")
	isPlain := loc.Kind == location.Name || err != nil
	if id, version, _ := strings.Cut(written, "@"); isPlain {
		has := len(a.finder.Find(flatten.Entry{ID: id, Version: version})) > 0
		if isOther := err != nil && len(a.finder.Find(flatten.Entry{ID: id})) > 0; has || isOther {
			return a.own(written)
		}
	}
	if err != nil {
		return named{}, fmt.Errorf("%w%s", err, a.meant(written))
	}
	sources := []engine.Source{{Location: loc, Kind: flatten.Buildpack}}
	more, err := dependencies(loc)
	return named{sources: append(sources, more...)}, err
}

// own returns a buildpack of the builder by ID or ID@VERSION.
func (a *adding) own(written string) (named, error) {
	id, version, _ := strings.Cut(written, "@")
	if id == "" {
		return named{}, fmt.Errorf("missing id of a buildpack of the builder; write %s for its order, or urn:cnb:builder:ID", FromBuilder)
	}
	switch found := a.finder.Find(flatten.Entry{ID: id, Version: version}); len(found) {
	case 0:
		return named{}, fmt.Errorf("unknown buildpack %q of the builder %s%s", flatten.Clip(written), a.Builder.Name, a.meant(written))
	case 1:
		return named{own: found[0]}, nil
	default:
		return named{}, fmt.Errorf("ambiguous buildpack %q: the builder has %s; name one", flatten.Clip(written), flatten.Few(found))
	}
}

// meant returns a hint at what may be meant instead, or "".
func (a *adding) meant(written string) string {
	if parts := strings.Split(written, ","); len(parts) > 1 && !slices.Contains(parts, "") {
		return "; repeat --buildpack for each of several buildpacks"
	}
	names := []string{FromBuilder}
	for r := range a.builtIn {
		names = append(names, r.String())
	}
	slices.Sort(names)
	if near := flatten.NearMisses(written, names); len(near) > 0 {
		return "; did you mean " + flatten.AnyOf(near) + "?"
	}
	return ""
}

// dependencies returns the sources in a package.toml beside a local buildpack, which is where
// composite buildpacks in directories have theirs.
func dependencies(loc location.Location) (all []engine.Source, err error) {
	file := filepath.Join(loc.Path, "package.toml")
	if info, err := os.Stat(file); loc.Kind != location.Path || err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	p, err := config.ReadPackage(file)
	if err != nil {
		return nil, err
	}
	var problems config.Problems
	for i, d := range p.Dependencies {
		loc, key, err := engine.Locate(d.URI, d.Image, p.Dir)
		if err != nil {
			problems = append(problems, p.Problem(err.Error(), "dependencies", i, key))
		}
		all = append(all, engine.Source{Location: loc, Kind: flatten.Buildpack, At: config.Problem{File: p.File, Line: d.Line}})
	}
	return all, problems.Err()
}

// open opens all sources.
func (a *adding) open(ctx context.Context) error {
	target := a.Builder.Target
	labels := a.Builder.Config.Config.Labels
	if d := (flatten.Distro{Name: labels[flatten.DistroNameLabel], Version: labels[flatten.DistroVersionLabel]}); d.Name != "" {
		target.Distros = []flatten.Distro{d}
	}
	var errs []error
	for i, n := range a.named {
		if len(n.sources) == 0 {
			continue
		}
		packages, err := engine.OpenAll(ctx, a.Opener, n.sources, target)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if n.sources[0].Location.Kind == location.Name {
				err = fmt.Errorf("%w; there is no such file or directory, and no such buildpack in the builder%s", err, a.meant(a.Buildpacks[i]))
			}
			errs = append(errs, err)
			continue
		}
		a.named[i].root = packages[0].Root
		a.packages = append(a.packages, packages...)
	}
	return errors.Join(errs...)
}

// order returns the order of the buildpacks: one group, or as many as the builder's order has.
func (a *adding) order() (flatten.Order, error) {
	order := flatten.Order{{}}
	at := map[string]string{} // what named an id
	fromBuilder := false
	var errs []error
	for i, n := range a.named {
		written := location.Redact(a.Buildpacks[i])
		if n.isOrder() {
			own, err := a.ownOrder()
			if fromBuilder {
				err = fmt.Errorf("duplicate %s; the builder's order can be at one place only", FromBuilder)
			}
			fromBuilder = true
			errs = append(errs, err)
			order = order.Then(own)
			continue
		}
		r := n.own
		if len(n.sources) > 0 {
			r = n.root
		}
		if before, twice := at[r.ID]; twice {
			errs = append(errs, fmt.Errorf("duplicate buildpack %s: %s and %s; the lifecycle uses the first of a group only", r.ID, before, written))
		}
		at[r.ID] = written
		order = order.Then(flatten.Order{{Entries: []flatten.Entry{{ID: r.ID, Version: r.Version}}}})
	}
	return order, errors.Join(errs...)
}

// ownOrder returns the builder's order, with the versions of its entries.
func (a *adding) ownOrder() (flatten.Order, error) {
	if len(a.labels.Order) == 0 {
		return nil, fmt.Errorf("%s: the builder %s has no order; name the buildpacks", FromBuilder, a.Builder.Name)
	}
	return a.finder.Versioned(a.labels.Order), nil
}
