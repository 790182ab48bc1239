package frontend

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/pelletier/go-toml/v2"

	"laminate/flatten"
	"laminate/packager/config"
)

// fromImage is what buildpacks of images are from: images may share some.
const fromImage = "docker://"

// take notes modules that are added to the builder, and what they are from: two entries may have the same
// buildpack, but not two of one name, of which only the latter would be there.
func (d *adding) take(modules flatten.Modules, from string) error {
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
		if other, taken := d.added[r]; taken && other != from {
			return fmt.Errorf("duplicate buildpack %s; an earlier entry has other files of that name", r)
		}
		dirs[flatten.Buildpack.Dir(r)] = r
		d.modules[r], d.added[r] = modules[r], from
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
	if _, taken := d.added[ref]; taken {
		return ref, fmt.Errorf("duplicate buildpack %s; give each script an id or a version of its own", ref)
	}
	if err := d.take(flatten.Modules{ref: module}, ""); err != nil {
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
	if err := d.take(flatten.Modules{ref: m.Module}, dir); err != nil {
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
	img, err := d.resolve(ctx, buildpackage, uri, d.platform)
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
		err = d.take(modules, fromImage)
	}
	if err != nil {
		return ref, err
	}
	ref = flatten.Ref{ID: metadata.ID, Version: metadata.Version}
	if _, has := modules[ref]; !has {
		return ref, fmt.Errorf("%s: its labels do not list its own buildpack %s", img.written, ref)
	}
	refs := slices.SortedFunc(maps.Keys(modules), flatten.Ref.Compare)
	d.files = append(d.files, func(root llb.State) llb.State {
		var files *llb.FileAction
		for _, r := range refs {
			remove := llb.Rm
			if files != nil {
				remove = files.Rm
			}
			files = remove(flatten.Buildpack.Dir(r), llb.WithAllowNotFound(true))
		}
		for _, r := range refs { // and not what else the image may have, in the place of the builder's own
			dir := flatten.Buildpack.Dir(r)
			files = files.Copy(img.state(d.build), dir, dir, &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true})
		}
		return root.File(files, internal("copy the buildpacks of "+img.written))
	})
	return ref, nil
}
