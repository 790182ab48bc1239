package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

// Package is the content of a package.toml, with positions: targets have the path "targets", i.
type Package struct {
	Doc
	File string
	// Dir is the base of relative locations.
	Dir string
	// Kind is Extension if the file has an [extension].
	Kind flatten.Kind
	// URI is the location of the root: the uri of [buildpack] or [extension].
	URI          string
	Dependencies []Dependency
	Targets      []flatten.Target
}

// Dependency is an entry of [[dependencies]]. It has either URI or Image; Image is the older key
// and always names an image.
type Dependency struct {
	URI, Image string
	Line       int
}

// packageFile is the form of package.toml.
type packageFile struct {
	Buildpack    packageRoot         `toml:"buildpack"`
	Extension    packageRoot         `toml:"extension"`
	Dependencies []packageDependency `toml:"dependencies"`
	Targets      []flatten.Target    `toml:"targets"`
	Platform     struct {
		OS string `toml:"os"`
	} `toml:"platform"`
}

type packageRoot struct {
	URI string `toml:"uri"`
}

type packageDependency struct {
	URI   string `toml:"uri"`
	Image string `toml:"image"`
}

// ParsePackage parses a package.toml. Relative locations are relative to the directory of file. The
// Package is as complete as possible; it is valid if Problems.Err is nil.
func ParsePackage(file string, data []byte) (Package, Problems) {
	p := Package{File: file, Dir: filepath.Dir(file), Kind: flatten.Buildpack}
	doc, problems := Parse(file, data)
	p.Doc = doc
	if len(problems) > 0 {
		return p, problems
	}
	var f packageFile
	problems = doc.Decode(&f, RefuseUnknown)
	p.URI, p.Targets = f.Buildpack.URI, f.Targets
	if doc.Has("extension") {
		p.Kind, p.URI = flatten.Extension, f.Extension.URI
	}
	for i, d := range f.Dependencies {
		line, _ := doc.Position("dependencies", i)
		p.Dependencies = append(p.Dependencies, Dependency{URI: d.URI, Image: d.Image, Line: line})
	}
	problems = append(problems, p.checkRoot()...)
	problems = append(problems, p.checkDependencies()...)
	problems = append(problems, p.checkTargets(f.Platform.OS)...)
	return p, problems.InOrder()
}

func (p Package) checkRoot() Problems {
	var problems Problems
	table := string(p.Kind)
	switch {
	case !p.Has("buildpack") && !p.Has("extension"):
		return Problems{p.Problem(`[buildpack] is missing; write uri = "." below it for a buildpack beside this file`)}
	case p.Has("buildpack") && p.Has("extension"):
		later, at := p.Problem("a package cannot be both [buildpack] and [extension]", "extension"), p.Problem("", "buildpack")
		if at.Line > later.Line {
			later.Line, later.Column = at.Line, at.Column
		}
		problems = append(problems, later)
	}
	switch {
	case p.kind(table) != unstable.Table:
	case !p.Has(table, "uri"):
		problems = append(problems, p.Problem(table+`.uri is missing; write uri = "." for what is beside this file`, table))
	case p.kind(table, "uri") == unstable.String && p.URI == "":
		problems = append(problems, p.Problem(table+`.uri is empty; write uri = "." for what is beside this file`, table, "uri"))
	}
	return problems
}

func (p Package) checkDependencies() Problems {
	var problems Problems
	if p.Kind == flatten.Extension && len(p.Dependencies) > 0 {
		problems = append(problems, p.Problem("a package of an [extension] cannot have [[dependencies]]", "dependencies"))
	}
	for i, d := range p.Dependencies {
		uri, image := p.kind("dependencies", i, "uri"), p.kind("dependencies", i, "image")
		switch {
		case p.kind("dependencies", i) != unstable.Table:
		case uri != unstable.Invalid && image != unstable.Invalid:
			problems = append(problems, p.Problem("a dependency has both uri and image; remove one", "dependencies", i))
		case uri == unstable.Invalid && image == unstable.Invalid:
			problems = append(problems, p.Problem("a dependency has neither uri nor image; write uri = \"...\"", "dependencies", i))
		case uri == unstable.String && d.URI == "":
			problems = append(problems, p.Problem("dependencies.uri is empty", "dependencies", i, "uri"))
		case image == unstable.String && d.Image == "":
			problems = append(problems, p.Problem("dependencies.image is empty", "dependencies", i, "image"))
		}
	}
	return problems
}

func (p Package) checkTargets(platformOS string) Problems {
	var problems Problems
	add := func(message string, path ...any) { problems = append(problems, p.Problem(message, path...)) }
	switch platformOS {
	case "", "linux":
	case "windows":
		add(`unsupported platform.os = "windows"; remove it: laminate makes images for linux only`, "platform", "os")
	default:
		add(fmt.Sprintf("unsupported platform.os = %s; remove it: laminate makes images for linux only", quote(platformOS)), "platform", "os")
	}
	seen := make(map[string]bool)
	onLinux := slices.ContainsFunc(p.Targets, func(t flatten.Target) bool { return t.OS == "linux" })
	for i, t := range p.Targets {
		at := []any{"targets", i}
		err := checkTarget(t)
		switch os := p.kind("targets", i, "os"); {
		case p.kind("targets", i) != unstable.Table || os != unstable.Invalid && os != unstable.String:
		case err != nil:
			add(err.Error(), at...)
		case os == unstable.Invalid:
			add("targets.os is missing", at...)
		case t.OS == "":
			add("targets.os is empty", "targets", i, "os")
		case t.OS == "windows" && !onLinux: // otherwise it is skipped
			add(`unsupported targets.os = "windows"; remove the target: laminate makes images for linux only`, "targets", i, "os")
		case seen[t.String()]:
			add("duplicate target "+t.String()+"; remove one", at...)
		default:
			seen[t.String()] = true
		}
	}
	return problems
}
