package config

import (
	"path/filepath"
	"slices"
	"strings"

	"laminate/flatten"
)

// Release is the content of a release.toml: what is released together, under one version, and where
// to. Only name, config and repositories are required:
//
//	version-file = "VERSION"            # a file with the version; the command line takes precedence
//
//	[[builders]]
//	name = "full"                       # {name} in tags
//	config = "builder.toml"
//	repositories = ["registry.example.com/acme/builder", "mirror.example.com/acme/builder"]
//	targets = ["linux/amd64", "linux/arm64"]
//	flatten = "auto"                    # none (the default), composites, all, auto or as-packaged
//	flatten-groups = [["acme/a@1.0.0", "acme/b@1.0.0"]]
//	flatten-exclude = ["acme/c@1.0.0"]
//	max-layers = 80
//	media-types = "oci"                 # or docker
//	skip-run-image-check = true
//
//	[[builders.variants]]               # without any, there is the standard one
//	name = "standard"
//
//	[[builders.variants]]
//	name = "buildpackless"              # of this name: without buildpacks and orders
//	description = "Bring your own buildpacks."
//
//	[[builders.variants]]
//	name = "tiny"                       # {variant} in tags
//	config = "tiny/builder.toml"
//	tags = ["{version}-tiny", "tiny"]
//
//	[[builders.smoke]]                  # an app that the builder must build
//	app = "apps/hello"
//	variants = ["standard"]             # without it: all that have buildpacks
//	buildpacks = ["docker://registry.example.com/acme/go"] # added for the build
//	run-image = "docker://registry.example.com/acme/run"
//	network = "host"                    # none is the default
//	timeout = "10m"
//
//	[[buildpackages]]
//	name = "java"
//	config = "java/package.toml"
//	repositories = ["registry.example.com/acme/java"]
//	tags = ["{version}", "latest"]
//	flatten = "all"
//
//	[sign]
//	command = ["cosign", "sign", "--yes", "{ref}"] # for each digest, after all tests
//	key = "cosign.key"                  # or a key that laminate signs with
//
// The tags of the standard variant are {version}-{name} and {name}, those of others
// {version}-{variant}-{name} and {variant}-{name}, and those of buildpackages {version} and latest,
// unless the file says otherwise. A tag with {version} is written once; others move.
//
// The embedded Doc has the positions. Relative paths are relative to Dir, and were not joined to it.
type Release struct {
	Doc
	File string
	// Dir is the base of relative paths.
	Dir         string
	VersionFile string
	// Images are what is released: each variant of a builder, then buildpackages, in the order of
	// the file.
	Images []ReleaseImage
	// Sign is nil if nothing is signed.
	Sign *ReleaseSign
}

// ReleaseImage is an image, or the index of its targets, that is released.
type ReleaseImage struct {
	// Builder is false for a buildpackage.
	Builder bool
	Name    string
	// Variant is that of a builder; "" for buildpackages.
	Variant string
	// Buildpackless builders have neither buildpacks nor orders.
	Buildpackless bool
	// Description replaces that of the builder.toml, unless it is "".
	Description string
	// Config is the builder.toml or package.toml.
	Config       string
	Repositories []string
	Tags         []ReleaseTag
	// Targets replace those of the config, if there are any.
	Targets  []flatten.Target
	Grouping flatten.Grouping
	// MaxLayers is 0 for the default.
	MaxLayers int
	// MediaTypes are docker, oci, or "" for the default.
	MediaTypes string
	// SkipRunImageCheck skips the check of a builder's run images.
	SkipRunImageCheck bool
	Smoke             []ReleaseSmoke
	// Path is the path of the table, for problems.
	Path []any
}

// ReleaseSmoke is an app that a builder must build.
type ReleaseSmoke struct {
	App        string
	Buildpacks []string
	RunImage   string
	Env        []EnvVar
	// Network reports whether the build reaches the network.
	Network bool
	// Timeout is as in the file; "" means the default.
	Timeout string
	// Path is the path of the table, for problems.
	Path []any
}

// ReleaseSign says how digests are signed: by a command, with a key, or both.
type ReleaseSign struct {
	// Command has {ref}, {repository} and {digest} in its arguments; nil means none.
	Command []string
	// Key is the file of a private key; "" means none.
	Key string
}

// ReleaseTag is the template of a tag.
type ReleaseTag string

// Versioned reports whether the tag names a version, and so must not move.
func (t ReleaseTag) Versioned() bool { return strings.Contains(string(t), "{version}") }

// For returns the tag for a version of an image.
func (t ReleaseTag) For(version string, img ReleaseImage) string {
	return strings.NewReplacer("{version}", version, "{name}", img.Name, "{variant}", img.Variant).Replace(string(t))
}

// Title names an image for people: the builder's name and its variant, unless that is standard.
func (i ReleaseImage) Title() string {
	if i.Variant == "" || i.Variant == StandardVariant {
		return i.Name
	}
	return i.Variant + "-" + i.Name
}

// Names of variants that have a meaning.
const (
	StandardVariant      = "standard"
	BuildpacklessVariant = "buildpackless"
)

// ParseRelease parses a release.toml. The Release is as complete as possible; it is valid if
// Problems.Err is nil.
func ParseRelease(file string, data []byte) (Release, Problems) {
	r := Release{File: file, Dir: filepath.Dir(file)}
	doc, problems := Parse(file, data)
	r.Doc = doc
	if len(problems) > 0 {
		return r, problems
	}
	var f releaseFile
	problems = doc.Decode(&f, RefuseUnknown)
	r.VersionFile = f.VersionFile
	read := &releaseReader{Doc: doc}
	for i, b := range f.Builders {
		r.Images = append(r.Images, read.builder(b, "builders", i)...)
	}
	for i, p := range f.Buildpackages {
		r.Images = append(r.Images, read.buildpackage(p, "buildpackages", i))
	}
	if len(f.Builders)+len(f.Buildpackages) == 0 && len(problems) == 0 {
		read.add("there is nothing to release; write [[builders]] or [[buildpackages]]")
	}
	read.unique(r.Images)
	if doc.Has("sign") {
		r.Sign = read.sign(f.Sign)
	}
	return r, slices.Concat(problems, read.besides(problems)).InOrder()
}

// ReadRelease reads the release.toml at file. Invalid content is reported as joined [Problem] errors.
func ReadRelease(file string) (Release, error) {
	data, err := read(file)
	if err != nil {
		return Release{}, err
	}
	r, problems := ParseRelease(file, data)
	return r, problems.Err()
}
