package frontend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
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
	modules flatten.Modules // of the builder, and those that are added
	added   []flatten.Ref
	buildpacks
}

// buildpacks finds the buildpacks that the project descriptor names, as pack does: group replaces the
// builder's order, and pre and post count only without it.
func (a *appBuild) buildpacks(ctx context.Context) (buildpacks, error) {
	d := &adding{appBuild: a}
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
		err = fmt.Errorf("%w; there is no such directory in the build context, and no such buildpack in the builder", err)
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
		var have []string
		for r := range d.modules {
			have = append(have, r.String())
		}
		slices.Sort(have)
		text := strings.TrimSuffix(name.Ref().String(), "@")
		if near := flatten.NearMisses(text, have); len(near) > 0 {
			return flatten.Ref{}, fmt.Errorf("unknown buildpack %q of the builder %s; did you mean %s?", flatten.Clip(text), d.builder.written, flatten.AnyOf(near))
		}
		return flatten.Ref{}, fmt.Errorf("unknown buildpack %q of the builder %s", flatten.Clip(text), d.builder.written)
	default:
		return flatten.Ref{}, fmt.Errorf("ambiguous buildpack %s: the builder has %s; add a version", flatten.Clip(id), flatten.Few(found))
	}
}

// take notes modules that are added to the builder.
func (d *adding) take(modules flatten.Modules) error {
	dirs := map[string]flatten.Ref{}
	for r := range d.modules {
		dirs[flatten.Buildpack.Dir(r)] = r
	}
	for _, r := range slices.SortedFunc(maps.Keys(modules), flatten.Ref.Compare) {
		if err := r.Check(); err != nil {
			return fmt.Errorf("buildpack %s: %w", r, err)
		}
		if other, taken := dirs[flatten.Buildpack.Dir(r)]; taken && other != r {
			return fmt.Errorf("buildpacks %s and %s share the directory %s", r, other, flatten.Buildpack.Dir(r))
		}
		d.modules[r] = modules[r]
		d.added = append(d.added, r)
	}
	return nil
}

// inline adds a buildpack whose bin/build is a script in the project descriptor.
func (d *adding) inline(e config.ProjectBuildpack) (flatten.Ref, error) {
	ref := flatten.Ref{ID: e.ID, Version: e.Version}
	if ref.Version == "" {
		ref.Version = "0.0.0" // as pack does
	}
	module := flatten.Module{Kind: flatten.Buildpack, API: e.Script.API, Info: flatten.Info{ID: ref.ID, Version: ref.Version}}
	if err := d.take(flatten.Modules{ref: module}); err != nil {
		return ref, err
	}
	shell := e.Script.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	stack := d.builder.config.Config.Labels[flatten.StackIDLabel]
	if stack == "" {
		stack = "*"
	}
	descriptor, err := toml.Marshal(map[string]any{
		"api":       e.Script.API,
		"buildpack": map[string]string{"id": ref.ID, "version": ref.Version},
		"stacks":    []map[string]string{{"id": stack}},
	})
	if err != nil {
		return ref, err
	}
	dir := flatten.Buildpack.Dir(ref)
	d.files = append(d.files, func(root llb.State) llb.State {
		return root.File(llb.Rm(dir, llb.WithAllowNotFound(true)).
			Mkdir(path.Join(dir, "bin"), 0o755, llb.WithParents(true)).
			Mkfile(path.Join(dir, "buildpack.toml"), 0o644, descriptor).
			Mkfile(path.Join(dir, "bin/detect"), 0o755, []byte("#!"+shell+"\n\nexit 0\n")).
			Mkfile(path.Join(dir, "bin/build"), 0o755, []byte("#!"+shell+"\n\n"+e.Script.Inline+"\n")),
			internal("write the buildpack "+ref.String()))
	})
	return ref, nil
}

// directory adds a buildpack in a directory of the build context. It reports whether there is one.
func (d *adding) directory(ctx context.Context, uri string) (ref flatten.Ref, is bool, err error) {
	dir := path.Join("/", path.Dir(d.BuildOpts().Opts["filename"]), uri)
	stat, err := d.app.ref.StatFile(ctx, client.StatRequest{Path: dir})
	if err != nil {
		return ref, false, nil
	}
	if !stat.IsDir() {
		return ref, true, fmt.Errorf("buildpack %s: archives are not supported; put its directory into the build context, or name an image, as docker://IMAGE", flatten.Clip(uri))
	}
	file := path.Join(dir, "buildpack.toml")
	data, err := d.app.ref.ReadFile(ctx, client.ReadRequest{Filename: file, Range: &client.FileRange{Length: config.MaxSize + 1}})
	if err != nil {
		return ref, true, fmt.Errorf("buildpack %s: no buildpack.toml in this directory of the build context", flatten.Clip(uri))
	}
	m, problems := config.ParseModule(flatten.Buildpack, file[1:], data)
	if err := problems.Few().Err(); err != nil {
		return ref, true, err
	}
	ref = m.Ref()
	if err := d.take(flatten.Modules{ref: m.Module}); err != nil {
		return ref, true, err
	}
	to, from := flatten.Buildpack.Dir(ref), d.app.state
	d.files = append(d.files, func(root llb.State) llb.State {
		return root.File(llb.Rm(to, llb.WithAllowNotFound(true)).
			Copy(from, dir, to, &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}, llb.WithUIDGID(0, 0)),
			internal("copy the buildpack "+ref.String()))
	})
	return ref, true, nil
}

// image adds the buildpacks of a buildpackage in a registry.
func (d *adding) image(ctx context.Context, uri string) (ref flatten.Ref, err error) {
	img, err := d.resolve(ctx, "buildpack", uri, d.platform)
	if err != nil {
		return ref, err
	}
	text := img.config.Config.Labels[flatten.BuildpackageMetadataLabel]
	if text == "" {
		return ref, fmt.Errorf("%s is not a buildpackage: it has no label %s", img.written, flatten.BuildpackageMetadataLabel)
	}
	metadata, err := flatten.ParseMetadata(text)
	if err != nil {
		return ref, fmt.Errorf("%s: %w", img.written, err)
	}
	modules, err := img.modules()
	if err == nil {
		err = d.take(modules)
	}
	if err != nil {
		return ref, err
	}
	ref = flatten.Ref{ID: metadata.ID, Version: metadata.Version}
	if _, has := modules[ref]; !has {
		return ref, fmt.Errorf("%s: its labels do not list its own buildpack %s", img.written, ref)
	}
	d.files = append(d.files, func(root llb.State) llb.State {
		var files *llb.FileAction
		for _, r := range slices.SortedFunc(maps.Keys(modules), flatten.Ref.Compare) {
			remove := llb.Rm
			if files != nil {
				remove = files.Rm
			}
			files = remove(flatten.Buildpack.Dir(r), llb.WithAllowNotFound(true))
		}
		files = files.Copy(img.state(d.build), "/cnb/buildpacks", "/cnb/buildpacks", &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true})
		return root.File(files, internal("copy the buildpacks of "+img.written))
	})
	return ref, nil
}

// check checks the added buildpacks: what composites need must be there, and the lifecycle must know their
// APIs.
func (d *adding) check() error {
	expansion, problems := d.modules.ExpandAll(d.added)
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
