package flatten

import (
	"fmt"
	"slices"
)

// BuilderMetadata is the value of [BuilderMetadataLabel] (platform spec, "Builder").
type BuilderMetadata struct {
	Description string `json:"description"`
	Buildpacks  []Info `json:"buildpacks"`
	Extensions  []Info `json:"extensions"`
	// Stack is set only if builder.toml has a stack.
	Stack struct {
		RunImage RunImage `json:"runImage"`
	} `json:"stack"`
	Lifecycle Lifecycle `json:"lifecycle"`
	CreatedBy struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"createdBy"`
	RunImages []RunImage `json:"images"`
}

// RunImage is a run image and its mirrors (platform spec, "run.toml").
type RunImage struct {
	Image   string   `toml:"image" json:"image"`
	Mirrors []string `toml:"mirrors,omitempty" json:"mirrors"`
}

// System is the value of [SystemLabel]: the buildpacks that run before and after every group
// (platform spec, "system.toml").
type System struct {
	Pre  SystemList `toml:"pre,omitempty" json:"pre"`
	Post SystemList `toml:"post,omitempty" json:"post"`
}

// SystemList is one side of a [System].
type SystemList struct {
	Buildpacks []Entry `toml:"buildpacks,omitempty" json:"buildpacks,omitempty"`
}

// Empty reports whether there are no system buildpacks.
func (s System) Empty() bool { return len(s.Pre.Buildpacks)+len(s.Post.Buildpacks) == 0 }

// Entries returns the entries of both sides, in order.
func (s System) Entries() []Entry { return slices.Concat(s.Pre.Buildpacks, s.Post.Buildpacks) }

// Lifecycle is the version of a lifecycle and the APIs that it supports (RFC 0011, RFC 0049).
type Lifecycle struct {
	Version string `json:"version"`
	// API are the oldest supported versions; it is the older form of APIs.
	API struct {
		Buildpack string `toml:"buildpack" json:"buildpack"`
		Platform  string `toml:"platform" json:"platform"`
	} `toml:"api" json:"api"`
	APIs struct {
		Buildpack APIVersions `toml:"buildpack" json:"buildpack"`
		Platform  APIVersions `toml:"platform" json:"platform"`
	} `toml:"apis" json:"apis"`
}

const (
	// SystemPlatform and ExtensionPlatform are the first Platform APIs with system buildpacks and with
	// stable image extensions.
	SystemPlatform    = "0.15"
	ExtensionPlatform = "0.13"
	// LifecycleDir is the directory of the lifecycle in a builder.
	LifecycleDir = "/cnb/lifecycle"
)

// LifecycleBinaries returns the names of the executables that every lifecycle has.
func LifecycleBinaries() []string {
	return []string{"analyzer", "builder", "creator", "detector", "exporter", "launcher", "restorer"}
}

// APIVersions are the versions of an API that a lifecycle supports.
type APIVersions struct {
	Deprecated []string `toml:"deprecated" json:"deprecated"`
	Supported  []string `toml:"supported" json:"supported"`
}

// All returns all versions, deprecated ones first.
func (v APIVersions) All() []string { return slices.Concat(v.Deprecated, v.Supported) }

// Supports reports whether the lifecycle supports the Buildpack API of a module, and whether it is
// deprecated.
func (l Lifecycle) Supports(m Module) (ok, deprecated bool) {
	deprecated = slices.Contains(l.APIs.Buildpack.Deprecated, m.API)
	return deprecated || slices.Contains(l.APIs.Buildpack.Supported, m.API), deprecated
}

// HasPlatform reports whether the lifecycle supports a Platform API of at least this version.
func (l Lifecycle) HasPlatform(version string) bool {
	return slices.ContainsFunc(l.APIs.Platform.All(), func(v string) bool { return CompareAPIs(v, version) >= 0 })
}

// CompareAPIs compares API versions, MAJOR.MINOR, numerically. Invalid numbers count as 0.
func CompareAPIs(a, b string) int {
	var x, y [2]int
	fmt.Sscanf(a, "%d.%d", &x[0], &x[1])
	fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return slices.Compare(x[:], y[:])
}
