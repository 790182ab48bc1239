package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"laminate/flatten"
)

// Builder is the content of a builder.toml. Build and run images are merged from [stack], and from
// [build] and [run].
type Builder struct {
	Doc
	File string
	// Dir is the base of relative locations.
	Dir string

	Description     string
	Buildpacks      []BuilderSource
	Extensions      []BuilderSource
	Order           flatten.Order
	OrderExtensions flatten.Order
	System          flatten.System
	// StackID is empty if the file has no stack.
	StackID    string
	BuildImage string
	RunImages  []flatten.RunImage
	// Env is the content of the files in /cnb/build-config/env, by name.
	Env       map[string]string
	Lifecycle LifecycleSource
	Targets   []flatten.Target
}

// BuilderSource is an entry of [[buildpacks]] or [[extensions]]. ID and Version, if set, must match
// those of the source.
type BuilderSource struct {
	flatten.Info
	URI   string `toml:"uri"`
	Image string `toml:"image"` // the older key: always an image
}

// LifecycleSource is the source of the lifecycle: URI or Version, or neither.
type LifecycleSource struct {
	URI     string `toml:"uri"`
	Version string `toml:"version"`
}

// DefaultLifecycle is the lifecycle version for a builder.toml without one.
const DefaultLifecycle = "0.21.0"

// builderFile is the form of builder.toml.
type builderFile struct {
	Description     string          `toml:"description"`
	Buildpacks      []BuilderSource `toml:"buildpacks"`
	Extensions      []BuilderSource `toml:"extensions"`
	Order           flatten.Order   `toml:"order"`
	OrderExtensions flatten.Order   `toml:"order-extensions"`
	Stack           struct {
		ID              string   `toml:"id"`
		BuildImage      string   `toml:"build-image"`
		RunImage        string   `toml:"run-image"`
		RunImageMirrors []string `toml:"run-image-mirrors"`
	} `toml:"stack"`
	Build struct {
		Image string     `toml:"image"`
		Env   []envEntry `toml:"env"`
	} `toml:"build"`
	Run struct {
		Images []flatten.RunImage `toml:"images"`
	} `toml:"run"`
	Lifecycle LifecycleSource  `toml:"lifecycle"`
	Targets   []flatten.Target `toml:"targets"`
	System    flatten.System   `toml:"system"`
}

// BuildImagePath returns the path of the key for the build image.
func (c *Builder) BuildImagePath() []any {
	if c.Has("build", "image") {
		return []any{"build", "image"}
	}
	return []any{"stack", "build-image"}
}

// RunImagePath returns the path of the key for a run image and its mirrors.
func (c *Builder) RunImagePath(i int) []any {
	if c.Has("run", "images") {
		return []any{"run", "images", i}
	}
	return []any{"stack", "run-image"}
}

// ParseBuilder parses a builder.toml. Relative locations are relative to the directory of file.
func ParseBuilder(file string, data []byte) (Builder, Problems) {
	c := Builder{File: file, Dir: filepath.Dir(file)}
	doc, problems := Parse(file, data)
	c.Doc = doc
	if len(problems) > 0 {
		return c, problems
	}
	var f builderFile
	problems = doc.Decode(&f, RefuseUnknown)
	c.Description, c.Buildpacks, c.Extensions = f.Description, f.Buildpacks, f.Extensions
	c.Order, c.OrderExtensions, c.System = f.Order, f.OrderExtensions, f.System
	for _, g := range c.OrderExtensions {
		for i := range g.Entries {
			g.Entries[i].Optional = false // extensions are always optional; labels do not say so
		}
	}
	c.Lifecycle, c.Targets, c.StackID = f.Lifecycle, f.Targets, f.Stack.ID
	for _, check := range []func(builderFile) Problems{c.mergeImages, c.checkSources, c.checkOrders, c.checkLifecycle, c.checkTargets, c.readEnv} {
		problems = append(problems, check(f)...)
	}
	return c, problems.InOrder()
}

// mergeImages merges the two forms in which build and run images can be named (RFC 0096): the newer
// one wins; conflicts are errors.
func (c *Builder) mergeImages(f builderFile) (problems Problems) {
	wrong := func(message string, path ...any) { problems = append(problems, c.Problem(message, path...)) }
	c.BuildImage, c.RunImages = f.Build.Image, f.Run.Images
	switch old := f.Stack.BuildImage; {
	case c.BuildImage == "" && old == "":
		wrong("the build image is missing; write image = \"...\" below [build]", "build")
	case c.BuildImage == "":
		c.BuildImage = old
	case old != "" && old != c.BuildImage:
		wrong(fmt.Sprintf("conflicting stack.build-image %q and build.image %q; remove one", old, c.BuildImage), "stack", "build-image")
	}
	for i, r := range c.RunImages {
		if r.Image == "" {
			wrong("run.images.image is missing", "run", "images", i)
		}
	}
	switch old := f.Stack.RunImage; {
	case len(c.RunImages) == 0 && old == "":
		wrong("the run image is missing; write image = \"...\" below [[run.images]]", "run")
	case len(c.RunImages) == 0:
		c.RunImages = []flatten.RunImage{{Image: old, Mirrors: f.Stack.RunImageMirrors}}
		if c.StackID == "" {
			problems = append(problems, c.Warning("stack.id is missing; the stacks of the images are not compared", "stack"))
		}
	case len(c.RunImages[0].Mirrors) == 0:
		c.RunImages[0].Mirrors = f.Stack.RunImageMirrors
	}
	if old := f.Stack.RunImage; old != "" && len(f.Run.Images) > 0 && old != c.RunImages[0].Image {
		wrong(fmt.Sprintf("conflicting stack.run-image %q and first of run.images %q; remove one", old, c.RunImages[0].Image), "stack", "run-image")
	}
	return problems
}

func (c *Builder) checkSources(f builderFile) (problems Problems) {
	for _, list := range []struct {
		key, entry string
		sources    []BuilderSource
	}{{"buildpacks", "a buildpack", f.Buildpacks}, {"extensions", "an extension", f.Extensions}} {
		for i, s := range list.sources {
			switch {
			case s.URI != "" && s.Image != "":
				problems = append(problems, c.Problem(list.entry+" has both uri and image; remove one", list.key, i))
			case s.URI == "" && s.Image == "":
				problems = append(problems, c.Problem(list.entry+" has neither uri nor image; write uri = \"...\"", list.key, i))
			}
		}
	}
	return problems
}

func (c *Builder) checkOrders(f builderFile) (problems Problems) {
	for _, o := range []struct {
		key   string
		order flatten.Order
	}{{"order", f.Order}, {"order-extensions", f.OrderExtensions}} {
		for i, g := range o.order {
			if len(g.Entries) == 0 {
				problems = append(problems, c.Problem("empty group in the order; add its [["+o.key+".group]]", o.key, i))
			}
			for j, e := range g.Entries {
				if e.ID == "" {
					problems = append(problems, c.Problem("id is missing", o.key, i, "group", j))
				}
			}
		}
	}
	for side, list := range map[string][]flatten.Entry{"pre": f.System.Pre.Buildpacks, "post": f.System.Post.Buildpacks} {
		for i, e := range list {
			if e.ID == "" {
				problems = append(problems, c.Problem("id is missing", "system", side, "buildpacks", i))
			}
		}
	}
	if len(f.Order) == 0 && len(f.Buildpacks) > 0 {
		problems = append(problems, c.Warning("there are buildpacks, but no [[order]]; builds use none of them"))
	}
	return problems
}

func (c *Builder) checkLifecycle(f builderFile) Problems {
	switch l := f.Lifecycle; {
	case l.URI != "" && l.Version != "":
		return Problems{c.Problem("the lifecycle has both uri and version; remove one", "lifecycle")}
	case l.Version != "" && !IsSemver(l.Version):
		return Problems{c.Problem(fmt.Sprintf("invalid lifecycle.version %q; write a semantic version such as %s", l.Version, DefaultLifecycle), "lifecycle", "version")}
	}
	return nil
}

// checkTargets checks the targets. If some are for linux, it skips others with a warning.
func (c *Builder) checkTargets(f builderFile) (problems Problems) {
	c.Targets, problems = c.ForLinux(f.Targets)
	seen := map[string]bool{}
	for i, t := range f.Targets {
		if !slices.ContainsFunc(c.Targets, func(k flatten.Target) bool { return k.String() == t.String() }) {
			continue // skipped
		}
		_, err := flatten.ParseTarget(t.String())
		switch {
		case t.OS != "linux":
			problems = append(problems, c.Problem(fmt.Sprintf("unsupported target %q: laminate makes images for linux only; write os = \"linux\"", t.String()), "targets", i))
		case err != nil:
			problems = append(problems, c.Problem(err.Error(), "targets", i))
		case seen[t.String()]:
			problems = append(problems, c.Problem(fmt.Sprintf("duplicate target %s; remove one", t), "targets", i))
		}
		seen[t.String()] = true
	}
	return problems
}

// withoutBuildpacks is the end of the description of a buildpackless builder.
const withoutBuildpacks = "No buildpacks are included; specify them for each build."

// WithoutBuildpacks returns the configuration of the buildpackless builder: without buildpacks,
// extensions, orders and system buildpacks. Its description says that buildpacks must be specified.
func (c Builder) WithoutBuildpacks() Builder {
	c.Buildpacks, c.Extensions, c.Order, c.OrderExtensions, c.System = nil, nil, nil, nil, flatten.System{}
	description := strings.TrimSpace(c.Description)
	if description != "" {
		description = strings.TrimSuffix(description, ".") + ". "
	}
	c.Description = description + withoutBuildpacks
	return c
}
