// Package inspect describes images that exist already: buildpackages, builders and app images, from
// any source and of any tool.
//
// A [Report] is made of manifests, configs and labels; layers are read only on request. It is a
// plain value whose JSON form is documented in docs/inspect.schema.json: numbers that are unknown
// are null, and lists are never null.
package inspect

import "time"

// Schema is the version of the JSON form. A change that removes a key or changes its meaning needs
// a new number.
const Schema = 1

// Report describes the images of a location.
type Report struct {
	Schema int `json:"schema"`
	// Name is the location as the user wrote it.
	Name string `json:"name"`
	// Digest is that of the index, or empty if there is none.
	Digest string  `json:"digest,omitempty"`
	Images []Image `json:"images"`
}

// Image describes the image for one target.
type Image struct {
	// Kind is buildpackage, extension package, builder, app image or image.
	Kind string `json:"kind"`
	// Target is the platform, with the distribution of the build or run image if labels name it.
	Target string `json:"target"`
	// Digest is that of the manifest; it is empty in the Docker daemon and its archives.
	Digest    string `json:"digest,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	// ID is the digest of the config.
	ID string `json:"id"`
	// Created is the time in the config; null if it is a constant of reproducible builds.
	Created *time.Time `json:"created"`
	// CreatedBy is the tool that made the image; null if neither labels nor history name it.
	CreatedBy *Tool `json:"created_by"`
	// Stack is the stack of the build or run image.
	Stack string `json:"stack,omitempty"`

	Buildpackage *Buildpackage `json:"buildpackage,omitempty"` // of buildpackages and extension packages
	Builder      *Builder      `json:"builder,omitempty"`
	App          *App          `json:"app,omitempty"`

	// Order is the detection order: that of a builder, or of the root of a buildpackage. Orders of
	// composites are in Modules.
	Order           []Group `json:"order"`
	OrderExtensions []Group `json:"order_extensions"`
	// Modules are the buildpacks and extensions, in the order of a walk through the orders, and
	// then those that no order reaches.
	Modules []Module `json:"modules"`
	Layers  []Layer  `json:"layers"`
	Limits  Limits   `json:"limits"`
	// Problems are what is wrong with the labels; "laminate verify" checks more.
	Problems []string `json:"problems"`
}

// Buildpackage is the content of the metadata label.
type Buildpackage struct {
	ID          string    `json:"id"`
	Version     string    `json:"version"`
	Name        string    `json:"name,omitempty"`
	Description string    `json:"description,omitempty"`
	Homepage    string    `json:"homepage,omitempty"`
	Keywords    []string  `json:"keywords"`
	Licenses    []License `json:"licenses"`
	// Stacks are those that all components support.
	Stacks []string `json:"stacks"`
	// Targets are those that all components with targets support.
	Targets []string `json:"targets"`
}

// License is the license of a buildpack.
type License struct {
	Type string `json:"type,omitempty"`
	URI  string `json:"uri,omitempty"`
}

// Builder is the content of a builder's labels.
type Builder struct {
	Description string     `json:"description,omitempty"`
	RunImages   []RunImage `json:"run_images"`
	Lifecycle   Lifecycle  `json:"lifecycle"`
	System      System     `json:"system"`
}

// Tool is a program and its version.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// RunImage is a run image and its mirrors.
type RunImage struct {
	Image   string   `json:"image"`
	Mirrors []string `json:"mirrors"`
}

// Lifecycle is the lifecycle of a builder.
type Lifecycle struct {
	Version      string `json:"version"`
	BuildpackAPI APIs   `json:"buildpack_api"`
	PlatformAPI  APIs   `json:"platform_api"`
}

// APIs are the versions of an API that a lifecycle supports.
type APIs struct {
	Deprecated []string `json:"deprecated"`
	Supported  []string `json:"supported"`
}

// System are the buildpacks that run before and after every group.
type System struct {
	Pre  []Entry `json:"pre"`
	Post []Entry `json:"post"`
}

// Group is a group of an order.
type Group struct {
	Entries []Entry `json:"group"`
}

// Entry is an entry of a group.
type Entry struct {
	ID       string `json:"id"`
	Version  string `json:"version,omitempty"`
	Optional bool   `json:"optional"`
	// Ref is the ref of the module that the entry names, or empty if there is none, or several.
	Ref string `json:"ref,omitempty"`
}

// Module describes a buildpack or an extension.
type Module struct {
	Ref     string `json:"ref"`
	Kind    string `json:"kind"` // buildpack or extension
	ID      string `json:"id"`
	Version string `json:"version"`
	Name    string `json:"name,omitempty"`
	API     string `json:"api"`
	// Homepage is in the label of the layers.
	Homepage string   `json:"homepage,omitempty"`
	Stacks   []string `json:"stacks"`
	Targets  []string `json:"targets"`
	// Order is that of a composite, and empty for a component.
	Order []Group `json:"order"`
	// Layer is the number of its layer, from 1.
	Layer int `json:"layer"`
	// Bytes is the uncompressed length of its part of the layer: its entries, and that of its id
	// directory. It is known from laminate's label, or if the layer was read.
	Bytes *int64 `json:"bytes"`
	// Dependencies and DefaultVersions are in the [metadata] of its buildpack.toml. They are null
	// unless the layers were read.
	Dependencies    []Dependency      `json:"dependencies"`
	DefaultVersions map[string]string `json:"default_versions"`
}

// Dependency is something that a buildpack can install, in the form in which many buildpacks list
// it.
type Dependency struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Version string `json:"version"`
	// Checksum is an algorithm and a hash, separated by a colon.
	Checksum string   `json:"checksum,omitempty"`
	URI      string   `json:"uri,omitempty"`
	Source   string   `json:"source,omitempty"`
	Stacks   []string `json:"stacks"`
	// OS and Arch restrict it to a platform.
	OS       string   `json:"os,omitempty"`
	Arch     string   `json:"arch,omitempty"`
	Licenses []string `json:"licenses"`
	PURL     string   `json:"purl,omitempty"`
	// Deprecated is the date after which it is unsupported.
	Deprecated string `json:"deprecation_date,omitempty"`
}

// Layer describes a layer.
type Layer struct {
	// Number is its position, from 1 at the bottom.
	Number int `json:"number"`
	// Digest and CompressedBytes are those of the blob; they are unknown in the Docker daemon and
	// its archives.
	Digest          string `json:"digest,omitempty"`
	DiffID          string `json:"diff_id"`
	CompressedBytes *int64 `json:"compressed_bytes"`
	// Bytes is the length of the tar. It is known from laminate's label, or if the layer was read.
	Bytes *int64 `json:"bytes"`
	// Part is what the layer is for, see Parts.
	Part string `json:"part"`
	// Refs are the modules that the labels have in the layer; in an app image, the buildpack that
	// made it.
	Refs []string `json:"refs"`
	// Holds describes the layer, by its history or, in an app image, by the labels.
	Holds string `json:"holds,omitempty"`
}

// The parts of images that layers belong to.
const (
	BuildImagePart    = "build image"
	LifecyclePart     = "lifecycle"
	BuildpacksPart    = "buildpacks" // of builders and buildpackages
	ExtensionsPart    = "extensions"
	ConfigurationPart = "configuration" // order.toml and the like; what else the builder's tool adds
	RunImagePart      = "run image"
	BuildPart         = "build" // what a buildpack made, in an app image
	ApplicationPart   = "application"
	LauncherPart      = "launcher" // and what configures it
	SBOMPart          = "sbom"
	OtherPart         = "other"
)

// Parts are all of them.
var Parts = []string{
	BuildImagePart, LifecyclePart, BuildpacksPart, ExtensionsPart, ConfigurationPart,
	RunImagePart, BuildPart, ApplicationPart, LauncherPart, SBOMPart, OtherPart,
}

// Limits compares the number of layers with what engines and platforms support.
type Limits struct {
	Layers int `json:"layers"`
	// Engine is the most layers that Docker's engine loads.
	Engine int `json:"engine"`
	// Build is how many layers a platform may add to a builder for a build; 0 for other images.
	Build int `json:"build"`
	// Headroom is how many layers may be added: Engine less Build and Layers. It is negative if
	// there are too many.
	Headroom int `json:"headroom"`
}

// App is the content of an app image's labels (platform spec, "App Image").
type App struct {
	Buildpacks []AppBuildpack `json:"buildpacks"`
	Processes  []Process      `json:"processes"`
	RunImage   AppRunImage    `json:"run_image"`
	Launcher   string         `json:"launcher,omitempty"` // version
}

// AppRunImage is the run image that an app image is based on.
type AppRunImage struct {
	Image   string   `json:"image,omitempty"`
	Mirrors []string `json:"mirrors"`
	// Reference is a reference with a digest, or the image ID in a Docker daemon.
	Reference string `json:"reference,omitempty"`
	// TopLayer is the diffID of its topmost layer.
	TopLayer string `json:"top_layer,omitempty"`
}

// AppBuildpack is a buildpack or an extension that took part in the build.
type AppBuildpack struct {
	Ref      string `json:"ref"`
	Kind     string `json:"kind"`
	Homepage string `json:"homepage,omitempty"`
}

// Process is a process that an app image can start.
type Process struct {
	Type    string   `json:"type"`
	Command []string `json:"command"`
	Args    []string `json:"args"`
	Direct  bool     `json:"direct"`
	// Default reports whether it is what the image starts by default.
	Default bool `json:"default"`
	// Buildpack is the id of the buildpack that defined it.
	Buildpack string `json:"buildpack,omitempty"`
}
