package update

import (
	"errors"
	"fmt"
	"slices"

	"laminate/flatten"
	"laminate/packager/config"
)

// builderForm has the types of the values in a builder.toml that are read.
type builderForm struct {
	Buildpacks []config.BuilderSource `toml:"buildpacks"`
	Extensions []config.BuilderSource `toml:"extensions"`
	Stack      struct {
		BuildImage      string   `toml:"build-image"`
		RunImage        string   `toml:"run-image"`
		RunImageMirrors []string `toml:"run-image-mirrors"`
	} `toml:"stack"`
	Build struct {
		Image string `toml:"image"`
	} `toml:"build"`
	Run struct {
		Images []flatten.RunImage `toml:"images"`
	} `toml:"run"`
	Lifecycle config.LifecycleSource `toml:"lifecycle"`
}

func (f *file) readBuilder() error {
	errs := []error{f.doc.Decode(new(builderForm), config.WarnOfUnknown).Err()}
	note := func(err error) { errs = append(errs, err) }
	for i := range f.doc.Len("buildpacks") {
		note(f.source("buildpacks", i, flatten.Buildpack))
	}
	for i := range f.doc.Len("extensions") {
		note(f.source("extensions", i, flatten.Extension))
	}
	note(f.readLifecycle())
	build := reference{key: "build.image", group: "build"}
	note(f.add(build, false, lines{f.header("build")}, "build", "image"))
	build.key = "stack.build-image"
	note(f.add(build, false, lines{f.header("stack")}, "stack", "build-image"))
	note(f.readRunImages())
	for _, key := range []string{"order", "order-extensions"} {
		note(f.readOrders(key))
	}
	return f.done(errs)
}

// readRunImages adds run images and their mirrors. Each image and its mirrors are a group, since
// they are copies; stack.run-image is the first image once more.
func (f *file) readRunImages() error {
	var errs []error
	for i := range f.doc.Len("run", "images") {
		group := fmt.Sprintf("run %d", i)
		headers := lines{f.header("run", "images", i)}
		errs = append(errs, f.add(reference{key: "run.images.image", group: group}, false, headers, "run", "images", i, "image"))
		for j := range f.doc.Len("run", "images", i, "mirrors") {
			lines := lines{f.header("run", "images", i, "mirrors"), headers[0]}
			errs = append(errs, f.add(reference{key: "run.images.mirrors", group: group}, false, lines, "run", "images", i, "mirrors", j))
		}
	}
	headers := lines{f.header("stack")}
	errs = append(errs, f.add(reference{key: "stack.run-image", group: "run 0"}, false, headers, "stack", "run-image"))
	for j := range f.doc.Len("stack", "run-image-mirrors") {
		lines := lines{f.header("stack", "run-image-mirrors"), headers[0]}
		errs = append(errs, f.add(reference{key: "stack.run-image-mirrors", group: "run 0"}, false, lines, "stack", "run-image-mirrors", j))
	}
	return errors.Join(errs...)
}

// readLifecycle adds the lifecycle: an image, or a version.
func (f *file) readLifecycle() error {
	headers := lines{f.header("lifecycle")}
	errs := []error{f.add(reference{key: "lifecycle.uri"}, true, headers, "lifecycle", "uri")}
	text, ok := f.doc.Text("lifecycle", "version")
	if !ok {
		return errors.Join(errs...)
	}
	r := &reference{file: f, text: text, key: "lifecycle.version", path: []any{"lifecycle", "version"}, lifecycle: true, limit: f.comments.of(text, headers...)}
	r.tag = text.Value
	if _, is := parseVersion(text.Value); !is {
		errs = append(errs, r.problem(fmt.Errorf("invalid version %q; write a semantic version such as %s", flatten.Clip(text.Value), config.DefaultLifecycle)))
	}
	f.refs = append(f.refs, r)
	return errors.Join(errs...)
}

// readOrders adds the entries with a version: those of an order and, with those of order, the
// system buildpacks.
func (f *file) readOrders(key string) error {
	kind := flatten.Buildpack
	var form struct {
		Order           flatten.Order  `toml:"order"`
		OrderExtensions flatten.Order  `toml:"order-extensions"`
		System          flatten.System `toml:"system"`
	}
	if key == "order-extensions" {
		kind = flatten.Extension
	} else if err := f.doc.Decode(&form, config.WarnOfUnknown).Err(); err != nil {
		return err
	}
	for i := range f.doc.Len(key) {
		for j := range f.doc.Len(key, i, "group") {
			f.follow(kind, key+".group.version", key, i, "group", j)
		}
	}
	for _, side := range []string{"pre", "post"} {
		for i := range f.doc.Len("system", side, "buildpacks") {
			if key == "order" {
				f.follow(kind, "system."+side+".buildpacks.version", "system", side, "buildpacks", i)
			}
		}
	}
	return nil
}

// follow adds an entry with id and version.
func (f *file) follow(kind flatten.Kind, key string, path ...any) {
	id, named := f.doc.Text(slices.Concat(path, []any{"id"})...)
	path = slices.Concat(path, []any{"version"})
	version, versioned := f.doc.Text(path...)
	if named && versioned {
		f.entries = append(f.entries, &entry{file: f, kind: kind, key: key, id: id.Value, text: version, path: path})
	}
}
