package config

import (
	"fmt"
	"slices"
	"strings"
)

// Project is the content of a project descriptor, as far as a platform builds by it (project descriptor
// spec). There are two generations of its tables:
//
//	[_]                                 [project]
//	schema-version = "0.2"              # no schema-version
//	id = "com.example.shop"             id = "com.example.shop"
//	name = "Shop"                       name = "Shop"
//
//	[io.buildpacks]                     [build]
//	builder = "acme/builder:1"          builder = "acme/builder:1"
//	exclude = ["/docs", "*.md"]         exclude = ["/docs", "*.md"]
//
//	[[io.buildpacks.group]]             [[build.buildpacks]]
//	id = "acme/java"                    id = "acme/java"
//	version = "1.0.0"                   version = "1.0.0"
//
//	[[io.buildpacks.build.env]]         [[build.env]]
//	name = "BP_JVM_VERSION"             name = "BP_JVM_VERSION"
//	value = "21"                        value = "21"
//
// Tables of other owners and metadata may hold anything. The embedded Doc has the positions.
type Project struct {
	Doc
	ID, Name string
	Builder  string
	// Include and Exclude are patterns as in a .gitignore; at most one of them has any.
	Include, Exclude []string
	// Group replaces the builder's order; Pre and Post come before and after each of its groups.
	Group, Pre, Post []ProjectBuildpack
	// Env is set for the build. Of several with one name, the last one counts.
	Env []EnvVar
}

// ProjectBuildpack is a buildpack that a project descriptor names: by its ID and version, by a URI, or
// by an ID and a script that is its bin/build.
type ProjectBuildpack struct {
	ID, Version, URI string
	Script           ProjectScript
	// Line is the line in the file.
	Line int
}

// ProjectScript is a build script that stands in a project descriptor.
type ProjectScript struct {
	API    string `toml:"api"`    // of buildpacks
	Inline string `toml:"inline"` // the script; "" if there is none
	Shell  string `toml:"shell"`  // runs it; "" is /bin/sh
}

// MaxPatterns is how many patterns include or exclude may have, and MaxPattern how long each may be,
// in bytes: filters check each path against each pattern.
const MaxPatterns, MaxPattern = 1000, 4096

// ParseProject parses a project descriptor; file is its name for messages. Unknown keys are warnings,
// as are tables of a generation that the schema version does not have. The Project is as complete as
// possible; it is valid if Problems.Err is nil.
func ParseProject(file string, data []byte) (Project, Problems) {
	doc, problems := Parse(file, data)
	r := projectReader{Project: Project{Doc: doc}}
	if len(problems) > 0 {
		return r.Project, problems
	}
	version := doc.textAt("_", "schema-version")
	switch {
	case !doc.Has("_", "schema-version"):
		r.readFirst()
	case slices.Contains([]string{"0.2", "0.3"}, version):
		r.read(version)
	case version == "0.1":
		r.readFirst()
	default:
		r.add(fmt.Sprintf("unknown schema-version %s; known are \"0.1\", \"0.2\" and \"0.3\"", quote(version)), "_", "schema-version")
	}
	r.checkPatterns()
	r.checkEnv()
	return r.Project, r.problems.InOrder()
}

// textAt returns the string at the path, or "".
func (d Doc) textAt(path ...any) string {
	if n, rest := d.find(path); n != nil && rest == 0 {
		return n.text
	}
	return ""
}

// projectReader reads and checks the tables of one generation.
type projectReader struct {
	Project
	table    []any // that has builder, include and exclude
	env      []any
	problems Problems
}

func (r *projectReader) add(message string, at ...any) {
	r.problems = append(r.problems, r.Problem(message, at...))
}

func (r *projectReader) warn(message string, at ...any) {
	r.problems = append(r.problems, r.Warning(message, at...))
}

// projectAbout is the table that says what the project is.
type projectAbout struct {
	SchemaVersion    string   `toml:"schema-version"`
	ID               string   `toml:"id"`
	Name             string   `toml:"name"`
	Version          string   `toml:"version"`
	Authors          []string `toml:"authors"`
	DocumentationURL string   `toml:"documentation-url"`
	SourceURL        string   `toml:"source-url"`
	Licenses         []struct {
		Type string `toml:"type"`
		URI  string `toml:"uri"`
	} `toml:"licenses"`
	Metadata any `toml:"metadata"`
}

// projectEntry is a buildpack in the file.
type projectEntry struct {
	ID      string        `toml:"id"`
	Version string        `toml:"version"`
	URI     string        `toml:"uri"`
	Script  ProjectScript `toml:"script"`
	ExecEnv any           `toml:"exec-env"`
}

type projectEnv struct {
	Name    string `toml:"name"`
	Value   string `toml:"value"`
	ExecEnv any    `toml:"exec-env"`
}

type projectGroup struct {
	Group []projectEntry `toml:"group"`
}

// read reads the tables of schema versions 0.2 and 0.3.
func (r *projectReader) read(version string) {
	var f struct {
		Project projectAbout `toml:"_"`
		IO      struct {
			Buildpacks struct {
				Include []string       `toml:"include"`
				Exclude []string       `toml:"exclude"`
				Group   []projectEntry `toml:"group"`
				Builder string         `toml:"builder"`
				Pre     projectGroup   `toml:"pre"`
				Post    projectGroup   `toml:"post"`
				Build   struct {
					Env []projectEnv `toml:"env"`
				} `toml:"build"`
				Env struct { // an early form
					Build []projectEnv `toml:"build"`
				} `toml:"env"`
			} `toml:"buildpacks"`
		} `toml:"io"`
	}
	r.problems = append(r.problems, r.only("_", "io").below("io", "buildpacks").Decode(&f, WarnOfUnknown)...)
	b := f.IO.Buildpacks
	r.table, r.env = []any{"io", "buildpacks"}, []any{"io", "buildpacks", "build", "env"}
	env := b.Build.Env
	if !r.Has(r.env...) && version == "0.2" {
		r.env, env = []any{"io", "buildpacks", "env", "build"}, b.Env.Build
	}
	r.ID, r.Name, r.Builder, r.Include, r.Exclude = f.Project.ID, f.Project.Name, b.Builder, b.Include, b.Exclude
	r.Group = r.buildpacks(b.Group, at(r.table, "group")...)
	r.Pre = r.buildpacks(b.Pre.Group, at(r.table, "pre", "group")...)
	r.Post = r.buildpacks(b.Post.Group, at(r.table, "post", "group")...)
	r.Env = envOf(env)
	r.licenses(f.Project, "_")
	if r.Has("build") || r.Has("project") {
		r.warn("[project] and [build] are ignored in schema version "+version+"; write [_] and [io.buildpacks]", r.first("build", "project")...)
	}
}

// readFirst reads the tables of schema version 0.1.
func (r *projectReader) readFirst() {
	var f struct {
		Project projectAbout `toml:"project"`
		Build   struct {
			Include    []string       `toml:"include"`
			Exclude    []string       `toml:"exclude"`
			Buildpacks []projectEntry `toml:"buildpacks"`
			Env        []projectEnv   `toml:"env"`
			Builder    string         `toml:"builder"`
			Pre        projectGroup   `toml:"pre"`
			Post       projectGroup   `toml:"post"`
		} `toml:"build"`
	}
	r.problems = append(r.problems, r.only("project", "build").Decode(&f, WarnOfUnknown)...)
	b := f.Build
	r.table, r.env = []any{"build"}, []any{"build", "env"}
	r.ID, r.Name, r.Builder, r.Include, r.Exclude = f.Project.ID, f.Project.Name, b.Builder, b.Include, b.Exclude
	r.Group = r.buildpacks(b.Buildpacks, "build", "buildpacks")
	r.Pre = r.buildpacks(b.Pre.Group, "build", "pre", "group")
	r.Post = r.buildpacks(b.Post.Group, "build", "post", "group")
	r.Env = envOf(b.Env)
	r.licenses(f.Project, "project")
	if r.Has("io", "buildpacks") {
		r.warn(`[io.buildpacks] is ignored without a schema version; add schema-version = "0.2" to [_]`, "io", "buildpacks")
	}
}

// first returns the path of the first of the keys that the file has.
func (r *projectReader) first(keys ...string) []any {
	for _, key := range keys {
		if r.Has(key) {
			return []any{key}
		}
	}
	return nil
}

func envOf(env []projectEnv) (all []EnvVar) {
	for _, e := range env {
		all = append(all, EnvVar{Name: e.Name, Value: e.Value})
	}
	return all
}

// licenses reports licenses that pack refuses.
func (r *projectReader) licenses(about projectAbout, table string) {
	for i, l := range about.Licenses {
		if l.Type == "" && l.URI == "" {
			r.add(table+".licenses needs a type or a uri", table, "licenses", i)
		}
	}
}

// buildpacks checks and converts the buildpacks at the path.
func (r *projectReader) buildpacks(entries []projectEntry, path ...any) (all []ProjectBuildpack) {
	key := dotted(path)
	for i, e := range entries {
		here := at(path, i)
		script := r.Has(at(here, "script")...)
		switch {
		case e.URI != "" && script:
			r.add(key+" has a uri and a script; remove one", here...)
		case e.URI != "" && e.Version != "":
			r.add(key+" has a uri and a version, which the buildpack has itself; remove the version", here...)
		case e.ID == "" && script:
			r.add(key+".id is missing; a script needs one", here...)
		case e.ID == "" && e.URI == "":
			r.add(key+" needs an id or a uri", here...)
		case script && strings.TrimSpace(e.Script.Inline) == "":
			r.add(key+".script.inline is missing", here...)
		case script && e.Script.API == "":
			r.add(key+`.script.api is missing; write the Buildpack API, such as "0.10"`, here...)
		case strings.ContainsAny(e.Script.Shell, "\n\x00"):
			r.add("invalid "+key+".script.shell "+quote(e.Script.Shell), at(here, "script", "shell")...)
		}
		line, _ := r.Position(here...)
		all = append(all, ProjectBuildpack{ID: e.ID, Version: e.Version, URI: e.URI, Script: e.Script, Line: line})
	}
	return all
}

// checkPatterns checks include and exclude.
func (r *projectReader) checkPatterns() {
	if len(r.Include) > 0 && len(r.Exclude) > 0 {
		r.add("include and exclude cannot be used together; remove one", at(r.table, "exclude")...)
	}
	for _, key := range []string{"include", "exclude"} {
		patterns := map[string][]string{"include": r.Include, "exclude": r.Exclude}[key]
		if len(patterns) > MaxPatterns {
			r.add(fmt.Sprintf("too many patterns in %s; the limit is %d", key, MaxPatterns), at(r.table, key)...)
		}
		for i, p := range patterns {
			if len(p) > MaxPattern || strings.ContainsAny(p, "\n\x00") {
				r.add("invalid pattern "+quote(p)+" in "+key, at(r.table, key, i)...)
			}
		}
	}
}

// checkEnv checks the names of the environment, which become names of files.
func (r *projectReader) checkEnv() {
	for i, e := range r.Env {
		here := at(r.env, i)
		switch {
		case e.Name == "":
			r.add(dotted(r.env)+".name is missing", here...)
		case !IsEnvName(e.Name):
			r.add("invalid "+dotted(r.env)+".name "+quote(e.Name), here...)
		case strings.Contains(e.Value, "\x00"):
			r.add(dotted(r.env)+".value has a NUL character", here...)
		}
	}
}

// only returns the file with no tables but these at its root.
func (d Doc) only(keys ...string) Doc {
	root := *d.root
	root.keys = slices.DeleteFunc(slices.Clone(root.keys), func(k string) bool { return !slices.Contains(keys, k) })
	d.root = &root
	return d
}

// below returns the file with no keys in a table but these.
func (d Doc) below(table string, keys ...string) Doc {
	n := d.root.below[table]
	if n == nil || n.below == nil {
		return d
	}
	root, narrow := *d.root, Doc{root: n}.only(keys...)
	root.below = map[string]*node{}
	for k, v := range d.root.below {
		root.below[k] = v
	}
	root.below[table] = narrow.root
	d.root = &root
	return d
}
