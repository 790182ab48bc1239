package frontend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/pelletier/go-toml/v2"

	"laminate/flatten"
	"laminate/packager/config"
)

// orderFile is the order of the builder, in its root file system.
const orderFile = "/cnb/order.toml"

// fromBuilder stands for the builder's order among the buildpacks of a project.
const fromBuilder = "from=builder"

// buildpacks are what the project descriptor adds to the builder.
type buildpacks struct {
	order []byte // the order.toml, or nil for that of the builder
	files []func(root llb.State) llb.State
}

// add puts the buildpacks and the order into the root file system of the builder.
func (b buildpacks) add(root llb.State) llb.State {
	for _, add := range b.files {
		root = add(root)
	}
	if b.order != nil {
		root = root.File(llb.Mkfile(orderFile, 0o644, b.order), internal("write the order of the buildpacks"))
	}
	return root
}

// adding is the state of [appBuild.buildpacks].
type adding struct {
	*appBuild
	order   flatten.Order // of the builder
	builtIn flatten.Finder
	modules flatten.Modules        // of the builder, and those that are added
	added   map[flatten.Ref]string // what they are from
	buildpacks
}

// buildpacks finds the buildpacks that the project descriptor names, as pack does: group replaces the
// builder's order, and pre and post count only without it.
func (a *appBuild) buildpacks(ctx context.Context) (buildpacks, error) {
	d := &adding{appBuild: a, added: map[flatten.Ref]string{}}
	if err := a.builder.label(flatten.OrderLabel, &d.order); err != nil {
		return buildpacks{}, err
	}
	p := a.project
	if len(p.Group)+len(p.Pre)+len(p.Post) == 0 {
		if len(d.order) == 0 {
			return buildpacks{}, fmt.Errorf("builder %s has no order of buildpacks; name them in %s", a.builder.written, d.table("group"))
		}
		return buildpacks{}, nil
	}
	modules, err := a.builder.modules()
	if err != nil {
		return buildpacks{}, err
	}
	d.builtIn, d.modules = maps.Clone(modules).Finder(), modules
	order, err := d.groups(ctx)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return buildpacks{}, err
	}
	var extensions flatten.Order
	if err := a.builder.label(flatten.OrderExtensionsLabel, &extensions); err != nil {
		return buildpacks{}, err
	}
	d.buildpacks.order, err = toml.Marshal(struct {
		Order      flatten.Order `toml:"order"`
		Extensions flatten.Order `toml:"order-extensions,omitempty"`
	}{order, extensions})
	return d.buildpacks, err
}

// modules returns the buildpacks that an image's label lists.
func (r *resolved) modules() (flatten.Modules, error) {
	all := flatten.Modules{}
	text := r.config.Config.Labels[flatten.BuildpackLayersLabel]
	if text == "" {
		return all, nil
	}
	label, err := flatten.ParseLayersLabel(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.written, err)
	}
	for _, ref := range label.Refs() {
		all[ref] = label.Module(flatten.Buildpack, ref)
	}
	return all, nil
}

// table returns the name of an array of tables in this project descriptor.
func (d *adding) table(name string) string {
	if d.project.Has("_", "schema-version") {
		return "[[io.buildpacks." + name + "]]"
	}
	if name == "group" {
		return "[[build.buildpacks]]"
	}
	return "[[build." + name + "]]"
}

// groups returns the order of the build.
func (d *adding) groups(ctx context.Context) (flatten.Order, error) {
	if len(d.project.Group) > 0 {
		return d.join(ctx, d.project.Group)
	}
	pre, errPre := d.join(ctx, d.project.Pre)
	post, errPost := d.join(ctx, d.project.Post)
	if err := errors.Join(errPre, errPost); err != nil {
		return nil, err
	}
	return pre.Then(d.builtIn.Versioned(d.order)).Then(post), nil
}

// join returns one group of buildpacks, or as many as the builder's order has if that is among them.
func (d *adding) join(ctx context.Context, entries []config.ProjectBuildpack) (flatten.Order, error) {
	order, own := flatten.Order{{}}, false
	var errs []error
	for _, e := range entries {
		if e.URI == fromBuilder {
			if own {
				errs = append(errs, d.at(e, errors.New("duplicate "+fromBuilder+"; the builder's order can be at one place only")))
			}
			own = true
			order = order.Then(d.builtIn.Versioned(d.order))
			continue
		}
		ref, err := d.find(ctx, e)
		if err != nil {
			errs = append(errs, d.at(e, err))
		}
		order = order.Then(flatten.Order{{Entries: []flatten.Entry{{ID: ref.ID, Version: ref.Version}}}})
	}
	return order, errors.Join(errs...)
}

// at returns an error with the place of a buildpack in the project descriptor.
func (d *adding) at(e config.ProjectBuildpack, err error) error {
	return config.Problem{File: d.BuildOpts().Opts["filename"], Line: e.Line, Message: err.Error(), Cause: err}
}

// find finds out what a buildpack is, and adds it unless the builder has it. A directory of the build
// context wins over a buildpack of the builder, and that over an image.
func (d *adding) find(ctx context.Context, e config.ProjectBuildpack) (flatten.Ref, error) {
	if e.URI == "" && e.Script.Inline != "" {
		return d.inline(e)
	}
	if e.URI == "" {
		return d.own(e.ID, e.Version)
	}
	for _, prefix := range []string{"urn:cnb:builder:", fromBuilder + ":"} {
		if name, is := strings.CutPrefix(e.URI, prefix); is {
			id, version, _ := strings.Cut(name, "@")
			return d.own(id, version)
		}
	}
	uri := flatten.Clip(e.URI)
	if strings.HasPrefix(e.URI, "urn:cnb:registry:") {
		return flatten.Ref{}, fmt.Errorf("buildpack %s: the registry of buildpacks is not supported; name the image, as docker://IMAGE", uri)
	}
	if strings.HasPrefix(e.URI, "file:") {
		return flatten.Ref{}, fmt.Errorf("buildpack %s: files of this machine are not supported; write a directory of the build context, relative to the project descriptor", uri)
	}
	if strings.HasPrefix(e.URI, "docker:/") {
		return d.image(ctx, e.URI)
	}
	if strings.Contains(e.URI, "://") {
		return flatten.Ref{}, fmt.Errorf("buildpack %s: downloads are not supported; put its directory into the build context, or name an image, as docker://IMAGE", uri)
	}
	if ref, is, err := d.directory(ctx, e.URI); is {
		return ref, err
	}
	if id, version, _ := strings.Cut(e.URI, "@"); len(d.builtIn.Find(flatten.Entry{ID: id, Version: version})) > 0 {
		return d.own(id, version)
	}
	ref, err := d.image(ctx, e.URI)
	if err != nil {
		err = fmt.Errorf("%w; there is no such directory in the build context, and no such buildpack in the builder%s", err, d.near(e.URI))
	}
	return ref, err
}

// own returns a buildpack of the builder.
func (d *adding) own(id, version string) (flatten.Ref, error) {
	name := flatten.Entry{ID: id, Version: version}
	switch found := d.builtIn.Find(name); len(found) {
	case 1:
		return found[0], nil
	case 0:
		text := strings.TrimSuffix(name.Ref().String(), "@")
		return flatten.Ref{}, fmt.Errorf("unknown buildpack %q of the builder %s%s", flatten.Clip(text), d.builder.written, d.near(text))
	default:
		return flatten.Ref{}, fmt.Errorf("ambiguous buildpack %s: the builder has %s; add a version", flatten.Clip(id), flatten.Few(found))
	}
}

// near returns a question that names buildpacks whose names are much like a word, or "".
func (d *adding) near(word string) string {
	var have []string
	for r := range d.modules {
		have = append(have, r.String())
	}
	slices.Sort(have)
	near := flatten.NearMisses(word, have)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + flatten.AnyOf(near) + "?"
}

// check checks the added buildpacks: what composites need must be there, and the lifecycle must know their
// APIs.
func (d *adding) check() error {
	expansion, problems := d.modules.ExpandAll(slices.SortedFunc(maps.Keys(d.added), flatten.Ref.Compare))
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, fmt.Errorf("buildpack %s: %s", p.In, strings.Replace(p.Message, "; no source provides it", "; add it to "+d.table("group")+", or name an image that has both", 1)))
		}
	}
	for _, r := range expansion.Refs {
		if m, is := d.modules[r]; is {
			if ok, _ := d.metadata.Lifecycle.Supports(m); !ok {
				errs = append(errs, fmt.Errorf("buildpack %s has Buildpack API %s, which lifecycle %s does not support", r, m.API, d.metadata.Lifecycle.Version))
			}
		}
	}
	return errors.Join(errs...)
}
