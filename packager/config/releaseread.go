package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"laminate/flatten"
)

// releaseReader checks and converts the values of a release.toml. Values of the wrong type, which
// Decode has reported, are empty for it (see besides).
type releaseReader struct {
	Doc
	problems Problems
}

func (r *releaseReader) add(message string, at ...any) {
	r.problems = append(r.problems, r.Problem(message, at...))
}

// besides returns the problems that are not at a place of one of Decode's.
func (r *releaseReader) besides(decoding Problems) Problems {
	return slices.DeleteFunc(r.problems, func(p Problem) bool {
		return p.Line > 0 && slices.ContainsFunc(decoding, func(d Problem) bool { return d.Line == p.Line && d.Column == p.Column })
	})
}

// required reports a string that is missing or empty.
func (r *releaseReader) required(value string, path ...any) {
	switch kind := r.kind(path...); {
	case kind == unstable.Invalid && r.kind(path[:len(path)-1]...) == unstable.Table:
		r.add(dotted(path)+" is missing", path...)
	case kind == unstable.String && value == "":
		r.add(dotted(path)+" is empty", path...)
	}
}

// builder returns the variants of a builder.
func (r *releaseReader) builder(b releaseBuilder, path ...any) []ReleaseImage {
	base := r.image(b.releaseImage, path...)
	base.Builder, base.SkipRunImageCheck = true, b.SkipRunImages
	variants, named := b.Variants, r.Has(at(path, "variants")...)
	if !named {
		variants = []releaseVariant{{Name: StandardVariant}}
	}
	if named && len(variants) == 0 {
		r.add("there are no variants; name one, or leave variants out", at(path, "variants")...)
	}
	if named && r.Has(at(path, "tags")...) {
		r.add("tags and variants cannot both be given; write the tags of each variant below [[builders.variants]]", at(path, "tags")...)
	}
	var images []ReleaseImage
	for i, v := range variants {
		img, here := base, path
		if named {
			here = at(path, "variants", i)
			r.name(v.Name, at(here, "name")...)
		}
		img.Path, img.Variant, img.Description = here, v.Name, v.Description
		img.Buildpackless = v.Name == BuildpacklessVariant
		if r.Has(at(here, "config")...) && named {
			r.required(v.Config, at(here, "config")...)
			img.Config = v.Config
		}
		tags, tagged := b.Tags, path
		if named {
			tags, tagged = v.Tags, here
		}
		switch {
		case r.Has(at(tagged, "tags")...):
			img.Tags = r.tags(tags, img, at(tagged, "tags")...)
		case v.Name == StandardVariant:
			img.Tags = []ReleaseTag{"{version}-{name}", "{name}"}
		default:
			img.Tags = []ReleaseTag{"{version}-{variant}-{name}", "{variant}-{name}"}
		}
		if named && v.Name != "" && v.Name != StandardVariant && !img.Buildpackless && !r.Has(at(here, "config")...) && !r.Has(at(here, "description")...) && !r.Has(at(here, "tags")...) {
			r.add("variant "+quote(v.Name)+" is the same as the standard one; give it a config, a description or tags, or name it "+quote(BuildpacklessVariant), here...)
		}
		if img.Buildpackless { // there is nothing to group
			img.Grouping = flatten.Grouping{Mode: flatten.None}
		}
		images = append(images, img)
	}
	for i, s := range b.Smoke {
		r.smoke(images, s, at(path, "smoke", i)...)
	}
	return images
}

// buildpackage returns a buildpackage.
func (r *releaseReader) buildpackage(p releaseImage, path ...any) ReleaseImage {
	img := r.image(p, path...)
	img.Tags = []ReleaseTag{"{version}", "latest"}
	if r.Has(at(path, "tags")...) {
		img.Tags = r.tags(p.Tags, img, at(path, "tags")...)
	}
	return img
}

// image returns what builders and buildpackages have in common.
func (r *releaseReader) image(f releaseImage, path ...any) ReleaseImage {
	img := ReleaseImage{
		Name: f.Name, Config: f.Config, Repositories: f.Repositories, Path: path,
		MaxLayers: f.MaxLayers, MediaTypes: f.MediaTypes,
		Grouping: flatten.Grouping{Mode: flatten.None, Groups: f.FlattenGroups, Exclude: f.FlattenExclude},
	}
	r.name(f.Name, at(path, "name")...)
	r.required(f.Config, at(path, "config")...)
	for i, s := range f.Repositories {
		switch { // not quoted: it may have a password
		case repositoryForm.MatchString(s):
		case repositoryForm.MatchString(strings.ToLower(s)):
			r.add("invalid repository; write it in lower case", at(path, "repositories", i)...)
		default:
			r.add("invalid repository; write HOST/REPOSITORY, without scheme, user, tag or digest", at(path, "repositories", i)...)
		}
	}
	if len(f.Repositories) == 0 && r.kind(path...) == unstable.Table {
		r.add(dotted(path)+".repositories is missing; name at least one", at(path, "repositories")...)
	}
	if r.Has(at(path, "flatten")...) {
		img.Grouping.Mode = flatten.Mode(f.Flatten)
		if !slices.Contains(releaseModes, f.Flatten) {
			r.add(fmt.Sprintf("invalid flatten %s; write %s", quote(f.Flatten), flatten.AnyOf(releaseModes)), at(path, "flatten")...)
		}
	}
	if r.Has(at(path, "max-layers")...) && (f.MaxLayers < 1 || f.MaxLayers > flatten.EngineLimit) {
		r.add(fmt.Sprintf("max-layers must be from 1 to %d", flatten.EngineLimit), at(path, "max-layers")...)
	}
	if r.Has(at(path, "media-types")...) && f.MediaTypes != "docker" && f.MediaTypes != "oci" {
		r.add("invalid media-types "+quote(f.MediaTypes)+"; write docker or oci", at(path, "media-types")...)
	}
	for i, s := range f.Targets {
		t, err := flatten.ParseTarget(s)
		if err != nil {
			r.add(err.Error(), at(path, "targets", i)...)
		}
		img.Targets = append(img.Targets, t)
	}
	return img
}

var releaseModes = []string{string(flatten.None), string(flatten.Composites), string(flatten.All), string(flatten.Auto), string(flatten.AsPackaged)}

var (
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
	// tagForm matches tags (distribution spec, "Pulling manifests").
	tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	// repositoryForm matches a registry's host and a repository.
	repositoryForm = regexp.MustCompile(`^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
)

// attachedPrefix is that of the tags of what is attached to an image (distribution spec, "Referrers Tag
// Schema").
const attachedPrefix = "sha256-"

// IsTag reports whether s can be a tag.
func IsTag(s string) bool { return tagForm.MatchString(s) }

// name reports a name that is missing, or that tags cannot hold.
func (r *releaseReader) name(value string, path ...any) {
	r.required(value, path...)
	if value != "" && !IsTag(value) {
		r.add(fmt.Sprintf("invalid %s %s; names may hold letters, digits, _, . and -", dotted(path), quote(value)), path...)
	}
}

// tags checks the templates of tags.
func (r *releaseReader) tags(written []string, img ReleaseImage, path ...any) []ReleaseTag {
	known := []string{"{version}", "{name}"}
	if img.Variant != "" {
		known = append(known, "{variant}")
	}
	var tags []ReleaseTag
	for i, s := range written {
		filled := placeholder.ReplaceAllStringFunc(s, func(p string) string {
			if slices.Contains(known, p) {
				return p
			}
			r.add(fmt.Sprintf("unknown %s in tag %s; the placeholders are %s", printable(p), quote(s), strings.Join(known, ", ")), at(path, i)...)
			return "x"
		})
		if strings.HasPrefix(ReleaseTag(filled).For("1.2.3", img), attachedPrefix) {
			r.add("invalid tag "+quote(s)+"; tags that begin with "+attachedPrefix+" are those of attachments", at(path, i)...)
		}
		named := IsTag(img.Name) && (img.Variant == "" || IsTag(img.Variant)) // other names were reported
		if named && !IsTag(ReleaseTag(filled).For("1.2.3", img)) {
			r.add("invalid tag "+quote(s)+"; tags may hold letters, digits, _, . and -", at(path, i)...)
		}
		tags = append(tags, ReleaseTag(s))
	}
	if len(tags) == 0 {
		r.add("there are no tags; name one, or leave tags out", path...)
	}
	return tags
}

// smoke adds an app to the images that must build it.
func (r *releaseReader) smoke(images []ReleaseImage, s releaseSmoke, path ...any) {
	r.required(s.App, at(path, "app")...)
	app := ReleaseSmoke{App: s.App, Buildpacks: s.Buildpacks, RunImage: s.RunImage, Timeout: s.Timeout, Network: s.Network == "host", Path: path}
	if r.Has(at(path, "network")...) && s.Network != "host" && s.Network != "none" {
		r.add("invalid network "+quote(s.Network)+"; write none or host", at(path, "network")...)
	}
	if d, err := time.ParseDuration(s.Timeout); s.Timeout != "" && (err != nil || d <= 0) {
		r.add("invalid timeout "+quote(s.Timeout)+`; write a duration, such as "90s" or "15m"`, at(path, "timeout")...)
	}
	for i, e := range s.Env {
		if !envName.MatchString(e.Name) {
			r.add("invalid env.name "+quote(e.Name), at(path, "env", i, "name")...)
		}
		app.Env = append(app.Env, EnvVar(e))
	}
	for i, v := range s.Variants {
		if !slices.ContainsFunc(images, func(img ReleaseImage) bool { return img.Variant == v }) {
			r.add("unknown variant "+quote(v), at(path, "variants", i)...)
		}
	}
	for i, img := range images {
		wanted := slices.Contains(s.Variants, img.Variant)
		if len(s.Variants) == 0 {
			wanted = !img.Buildpackless
		}
		if wanted && img.Buildpackless && len(s.Buildpacks) == 0 {
			r.add("the buildpackless variant builds nothing without buildpacks; name some", path...)
		}
		if wanted {
			images[i].Smoke = append(images[i].Smoke, app)
		}
	}
}

// unique reports names of two images, and tags that two would have in one repository.
func (r *releaseReader) unique(images []ReleaseImage) {
	titles, taken := map[string]bool{}, map[string]bool{}
	for _, img := range images {
		if img.Name != "" && titles[img.Title()] {
			of := ""
			if slices.Contains(img.Path, any("variants")) { // its line has another name
				of = "variant " + quote(img.Variant) + ": "
			}
			r.add(of+"duplicate name "+quote(img.Title())+"; give each image a name of its own", img.Path...)
			continue
		}
		titles[img.Title()] = true
		for _, repository := range img.Repositories {
			for _, t := range img.Tags {
				at := repository + ":" + t.For("{version}", img)
				if taken[at] {
					r.add("duplicate tag "+printable(at)+"; give each image tags of its own", img.Path...)
				}
				taken[at] = true
			}
		}
	}
}

// sign reads how digests are signed. What a command may hold is checked where it is used.
func (r *releaseReader) sign(f releaseSign) *ReleaseSign {
	command := r.Has("sign", "command")
	if !command && f.Key == "" {
		r.add("sign has neither command nor key", "sign")
	}
	if command && (len(f.Command) == 0 || f.Command[0] == "") {
		r.add("sign.command is empty", "sign", "command")
	}
	return &ReleaseSign{Command: f.Command, Key: f.Key}
}
