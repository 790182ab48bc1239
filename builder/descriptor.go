package builder

import (
	"fmt"
	"slices"
	"strings"

	"laminate/packager/config"

	"github.com/pelletier/go-toml/v2"
)

// DefaultLifecycleURL is the template of the addresses of the lifecycle's release archives. {arch}
// is replaced as in the archives' names.
const DefaultLifecycleURL = "https://github.com/buildpacks/lifecycle/releases/download/v{version}/lifecycle-v{version}+linux.{arch}.tgz"

// lifecycleURL returns the address of a release archive.
func lifecycleURL(template, version, arch string) (string, error) {
	switch arch {
	case "amd64", "":
		arch = "x86-64"
	case "arm64", "ppc64le", "s390x":
	default:
		return "", fmt.Errorf("no release of the lifecycle for %s; name an archive with --lifecycle", arch)
	}
	return strings.NewReplacer("{version}", strings.TrimPrefix(version, "v"), "{arch}", arch).Replace(template), nil
}

// descriptor is a lifecycle.toml (RFC 0011, RFC 0049). Its JSON is part of the builder metadata
// label.
type descriptor struct {
	Version string `json:"version"`
	// API are the oldest supported versions; it is the older form of APIs.
	API  apiPair `toml:"api" json:"api"`
	APIs struct {
		Buildpack apiVersions `toml:"buildpack" json:"buildpack"`
		Platform  apiVersions `toml:"platform" json:"platform"`
	} `toml:"apis" json:"apis"`
}

type apiPair struct {
	Buildpack string `toml:"buildpack" json:"buildpack"`
	Platform  string `toml:"platform" json:"platform"`
}

type apiVersions struct {
	Deprecated []string `toml:"deprecated" json:"deprecated"`
	Supported  []string `toml:"supported" json:"supported"`
}

// describe parses lifecycle.toml. It fills in the older and the newer form of APIs, as platforms
// expect.
func (d *descriptor) describe(data []byte) error {
	var file struct {
		Lifecycle struct {
			Version string `toml:"version"`
		} `toml:"lifecycle"`
		descriptor
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("lifecycle.toml: %w", err)
	}
	*d = file.descriptor
	d.Version = file.Lifecycle.Version
	if !config.IsSemver(d.Version) {
		return fmt.Errorf("lifecycle.toml: invalid version %q", d.Version)
	}
	for _, kind := range []struct {
		name     string
		versions *apiVersions
		oldest   *string
	}{{"buildpack", &d.APIs.Buildpack, &d.API.Buildpack}, {"platform", &d.APIs.Platform, &d.API.Platform}} {
		if len(kind.versions.Supported) == 0 && *kind.oldest != "" {
			kind.versions.Supported = []string{*kind.oldest}
		}
		all := slices.Concat(kind.versions.Deprecated, kind.versions.Supported)
		if len(all) == 0 {
			return fmt.Errorf("lifecycle.toml: missing %s API", kind.name)
		}
		*kind.oldest = slices.MinFunc(all, compareAPIs)
	}
	return nil
}

// compareAPIs compares API versions, MAJOR.MINOR, numerically.
func compareAPIs(a, b string) int {
	var x, y [2]int
	fmt.Sscanf(a, "%d.%d", &x[0], &x[1]) // invalid numbers count as 0
	fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return slices.Compare(x[:], y[:])
}
