package builder

import (
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
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

// describe parses a lifecycle.toml (RFC 0011, RFC 0049). It fills in the older and the newer form
// of APIs, as platforms expect.
func (l *lifecycle) describe(data []byte) error {
	var file struct {
		Lifecycle struct {
			Version string `toml:"version"`
		} `toml:"lifecycle"`
	}
	d := &l.Lifecycle
	err := toml.Unmarshal(data, d)
	if err == nil {
		err = toml.Unmarshal(data, &file)
	}
	if err != nil {
		return fmt.Errorf("lifecycle.toml: %w", err)
	}
	d.Version = file.Lifecycle.Version
	if !config.IsSemver(d.Version) {
		return fmt.Errorf("lifecycle.toml: invalid version %q", d.Version)
	}
	for _, kind := range []struct {
		name     string
		versions *flatten.APIVersions
		oldest   *string
	}{{"buildpack", &d.APIs.Buildpack, &d.API.Buildpack}, {"platform", &d.APIs.Platform, &d.API.Platform}} {
		if len(kind.versions.Supported) == 0 && *kind.oldest != "" {
			kind.versions.Supported = []string{*kind.oldest}
		}
		all := kind.versions.All()
		if len(all) == 0 {
			return fmt.Errorf("lifecycle.toml: missing %s API", kind.name)
		}
		*kind.oldest = slices.MinFunc(all, flatten.CompareAPIs)
	}
	return nil
}
