// Package lifecycle knows how the lifecycle of a builder is run to export an OCI layout: what a sandbox
// and a BuildKit step of the same build have in common.
package lifecycle

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// The versions of the Platform API for which the lifecycle exports OCI layouts, oldest first.
const OldestPlatform, NewestPlatform = "0.11", "0.15"

// Platform is how a builder's lifecycle is run.
type Platform struct {
	API      string
	UID, GID int
	Env      []string // of the builder image
}

// PlatformOf reads what a builder says about its lifecycle and its user: in its labels, and in its
// environment.
func PlatformOf(builder flatten.BuilderMetadata, env []string) (*Platform, error) {
	p := &Platform{Env: env}
	if p.API = newest(builder.Lifecycle.APIs.Platform.All()); p.API == "" {
		return nil, fmt.Errorf("lifecycle %s supports none of the Platform APIs %s to %s, with which it can export an OCI layout", builder.Lifecycle.Version, OldestPlatform, NewestPlatform)
	}
	for name, into := range map[string]*int{"CNB_USER_ID": &p.UID, "CNB_GROUP_ID": &p.GID} {
		value, _ := Lookup(p.Env, name)
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("environment variable %s is %q; it must be the id of the build user, which is not root", name, value)
		}
		*into = n
	}
	return p, nil
}

// newest returns the newest of the versions that are supported here, or "".
func newest(versions []string) string {
	fit := slices.DeleteFunc(slices.Clone(versions), func(v string) bool {
		return flatten.CompareAPIs(v, OldestPlatform) < 0 || flatten.CompareAPIs(v, NewestPlatform) > 0
	})
	if len(fit) == 0 {
		return ""
	}
	return slices.MaxFunc(fit, flatten.CompareAPIs)
}

// Lookup returns the last value of a variable in NAME=VALUE pairs.
func Lookup(env []string, name string) (value string, is bool) {
	for _, v := range env {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value, is = rest, true
		}
	}
	return value, is
}

// Environment returns the environment of the lifecycle, which finds and writes images below the layout
// directory: more, and what of the builder's it does not set. That of the user's build goes through
// files, as the spec asks for.
func (p *Platform) Environment(layoutDir string, more ...string) []string {
	path, has := Lookup(p.Env, "PATH")
	if !has {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	env := append([]string{
		"PATH=" + path,
		"CNB_PLATFORM_API=" + p.API, "CNB_USE_LAYOUT=true", "CNB_LAYOUT_DIR=" + layoutDir, "CNB_EXPERIMENTAL_MODE=warn", "CNB_NO_COLOR=true",
		fmt.Sprintf("CNB_USER_ID=%d", p.UID), fmt.Sprintf("CNB_GROUP_ID=%d", p.GID),
	}, more...)
	for _, v := range p.Env {
		name, _, _ := strings.Cut(v, "=")
		if _, set := Lookup(env, name); !set {
			env = append(env, v)
		}
	}
	return env
}

// ExitCode returns what an exit code of the lifecycle means, or "" (platform spec, "Exit Codes").
func ExitCode(code int) string {
	return map[int]string{
		11: "unsupported platform API", 12: "unsupported buildpack API",
		20: "no group is detected", 21: "a buildpack's bin/detect failed", 22: "detection failed",
		32: "analysis failed", 42: "restoring failed", 51: "a buildpack's bin/build failed",
		52: "build failed", 62: "export failed", 91: "an extension's bin/generate failed",
	}[code]
}

// RunImage returns the name of the run image in the labels of a builder, or "".
func RunImage(builder flatten.BuilderMetadata) string {
	if len(builder.RunImages) > 0 {
		return builder.RunImages[0].Image
	}
	return builder.Stack.RunImage.Image
}

// LayoutPath returns the directory of an image below the lifecycle's layout directory (platform spec,
// "Map an image reference to a path in the layout directory").
func LayoutPath(ref name.Reference) string {
	if d, is := ref.(name.Digest); is {
		hash, err := v1.NewHash(d.DigestStr())
		if err == nil {
			return path.Join(ref.Context().RegistryStr(), ref.Context().RepositoryStr(), hash.Algorithm, hash.Hex)
		}
	}
	return path.Join(ref.Context().RegistryStr(), ref.Context().RepositoryStr(), ref.Identifier())
}
