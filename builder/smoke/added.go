package smoke

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/pelletier/go-toml/v2"

	"laminate/builder/smoke/rootfs"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/stream"
)

// added are buildpacks that builds have beside those of the builder, and the order that they have
// instead of the builder's.
type added struct {
	dir  string       // has the order.toml
	root *rootfs.Root // has the files of the buildpacks; nil if there are none
	refs []flatten.Ref
}

// close removes the files of the buildpacks. It does nothing on a nil *added.
func (a *added) close() error {
	if a == nil {
		return nil
	}
	return errors.Join(a.root.Close(), os.RemoveAll(a.dir))
}

// add opens and unpacks the buildpacks of the session, with those that they are composed of.
//
// It does what pack does with --buildpack, with these exceptions: it refuses a second buildpack of the
// same id in the group, which the lifecycle would skip; a buildpack of the builder without a version
// is the builder's own, whatever is added; and the system buildpacks of the builder stay.
func (s *Session) add(ctx context.Context) (*added, error) {
	a := &adding{Session: s}
	if err := a.locate(); err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	order, errOrder := a.order()
	modules, errModules := a.collect(ctx)
	extensions, errExtensions := s.Builder.Modules(flatten.Extension)
	if err := errors.Join(errOrder, errModules, errExtensions); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.WorkDir, "added-")
	if err != nil {
		return nil, err
	}
	made := &added{dir: dir, refs: slices.SortedFunc(maps.Keys(modules), flatten.Ref.Compare)}
	err = made.writeOrder(order, byRef(extensions).Plain().Finder().Versioned(s.labels.OrderExtensions))
	if err == nil && len(modules) > 0 {
		made.root, err = a.unpack(ctx, modules, dir)
	}
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	return made, nil
}

// collect returns the modules of all packages. It checks them and, with those of the builder, what
// they are composed of.
func (a *adding) collect(ctx context.Context) (engine.Modules, error) {
	collected, err := engine.Collect(ctx, a.packages, engine.Refuse)
	problems := collected.Problems
	all, dirs := maps.Clone(collected.Modules), map[string]flatten.Ref{}
	for r := range collected.Modules {
		dirs[flatten.Buildpack.Dir(r)] = r
	}
	for r, m := range a.builtIn {
		if other, taken := dirs[flatten.Buildpack.Dir(r)]; taken && other != r {
			err = errors.Join(err, fmt.Errorf("buildpacks %s (%s) and %s of the builder share the directory %s; change the id or version of one", other, all[other].Source, r, flatten.Buildpack.Dir(r)))
		}
		if all[r] == nil {
			all[r] = m
		}
	}
	var roots []flatten.Ref
	for _, p := range a.packages {
		roots = append(roots, p.Root)
	}
	expansion, found := all.Plain().ExpandAll(roots)
	for i, f := range found {
		if strings.HasSuffix(f.Message, "; no source provides it") {
			found[i].Message += "; add it too, or list it in a package.toml beside the composite buildpack"
		}
	}
	problems = append(problems, all.Problems(found)...)
	for _, r := range expansion.Refs {
		if ok, _ := a.labels.Lifecycle.Supports(all[r].Module); !ok {
			problems = append(problems, engine.ProblemOf(all[r], fmt.Sprintf("buildpack %s has Buildpack API %s, which lifecycle %s does not support", r, all[r].API, a.labels.Lifecycle.Version), "api"))
		}
	}
	for _, w := range problems.Warnings() {
		a.Log.Warn(w.Error())
	}
	return collected.Modules, errors.Join(err, problems.Err())
}

// orderPath returns the path of the order.toml.
func (a *added) orderPath() string { return filepath.Join(a.dir, "order.toml") }

// writeOrder writes the order.toml (platform spec).
func (a *added) writeOrder(order, extensions flatten.Order) error {
	text, err := toml.Marshal(struct {
		Order      flatten.Order `toml:"order"`
		Extensions flatten.Order `toml:"order-extensions,omitempty"`
	}{order, extensions})
	if err != nil {
		return err
	}
	return os.WriteFile(a.orderPath(), text, 0o644)
}

// unpack writes the files of modules, as a builder with a layer of them would have them.
func (a *adding) unpack(ctx context.Context, modules engine.Modules, dir string) (*rootfs.Root, error) {
	var members []layer.Member
	for _, r := range flatten.Neighbours(slices.SortedFunc(maps.Keys(modules), flatten.Ref.Compare)) {
		members = append(members, layer.Member{Ref: r, Piece: modules[r].Piece})
	}
	built, err := layer.Build(ctx, members, layer.BuildOptions{Kind: flatten.Buildpack, Path: filepath.Join(dir, "layer.tgz")})
	if err != nil {
		return nil, err
	}
	defer os.Remove(built.Path())
	raw, err := mutate.AppendLayers(empty.Image, built)
	if err != nil {
		return nil, err
	}
	img, err := image.New(ctx, image.Raw{Image: raw, Name: "added buildpacks", Stored: true, Limits: stream.Limits{}.OrDefault(), WorkDir: dir, Log: a.Log})
	if err != nil {
		return nil, err
	}
	return rootfs.Unpack(ctx, img, rootfs.Options{WorkDir: dir, Log: a.Log})
}

// mounts returns the directories of the buildpacks and the order.toml in a sandbox.
func (a *added) mounts() []sandbox.Mount {
	mounts := []sandbox.Mount{{Source: a.orderPath(), Target: orderFile, ReadOnly: true}}
	for _, r := range a.refs {
		dir := flatten.Buildpack.Dir(r)
		mounts = append(mounts, sandbox.Mount{Source: filepath.Join(a.root.Path, filepath.FromSlash(dir)), Target: dir, ReadOnly: true})
	}
	return mounts
}
