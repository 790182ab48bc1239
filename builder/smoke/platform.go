package smoke

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/location"
)

// The versions of the Platform API for which the lifecycle exports OCI layouts, oldest first.
const oldestPlatform, newestPlatform = "0.11", "0.15"

// platform is how a builder's lifecycle is run.
type platform struct {
	api      string
	uid, gid int
	env      []string // of the builder image
	labels   *image.BuilderLabels
}

// platformOf reads what a builder says about its lifecycle and its user.
func platformOf(img *image.Image) (*platform, error) {
	if img.Kind() != image.Builder {
		return nil, fmt.Errorf("%s is %s, not a builder", img.Name, img.Kind().Indefinite())
	}
	labels, err := img.BuilderLabels()
	if err != nil {
		return nil, err
	}
	p := &platform{labels: labels, env: img.Config.Config.Env}
	if p.api = newest(labels.Lifecycle.APIs.Platform.All()); p.api == "" {
		return nil, fmt.Errorf("%s: lifecycle %s supports none of the Platform APIs %s to %s, with which it can export an OCI layout", img.Name, labels.Lifecycle.Version, oldestPlatform, newestPlatform)
	}
	for name, into := range map[string]*int{"CNB_USER_ID": &p.uid, "CNB_GROUP_ID": &p.gid} {
		value, _ := lookup(p.env, name)
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%s: environment variable %s is %q; it must be the id of the build user, which is not root", img.Name, name, value)
		}
		*into = n
	}
	return p, nil
}

// newest returns the newest of the versions that are supported here, or "".
func newest(versions []string) string {
	fit := slices.DeleteFunc(slices.Clone(versions), func(v string) bool {
		return flatten.CompareAPIs(v, oldestPlatform) < 0 || flatten.CompareAPIs(v, newestPlatform) > 0
	})
	if len(fit) == 0 {
		return ""
	}
	return slices.MaxFunc(fit, flatten.CompareAPIs)
}

// lookup returns the last value of a variable in NAME=VALUE pairs.
func lookup(env []string, name string) (value string, is bool) {
	for _, v := range env {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value, is = rest, true
		}
	}
	return value, is
}

// environment returns the environment of the lifecycle. That of the user's build goes through
// files, as the spec asks for.
func (p *platform) environment(epoch int64) []string {
	path, has := lookup(p.env, "PATH")
	if !has {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	env := []string{
		"PATH=" + path, "HOME=" + homeDir,
		"CNB_PLATFORM_API=" + p.api, "CNB_USE_LAYOUT=true", "CNB_LAYOUT_DIR=" + layoutDir, "CNB_EXPERIMENTAL_MODE=warn", "CNB_NO_COLOR=true",
		fmt.Sprintf("CNB_USER_ID=%d", p.uid), fmt.Sprintf("CNB_GROUP_ID=%d", p.gid),
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch),
	}
	for _, v := range p.env {
		name, _, _ := strings.Cut(v, "=")
		if _, set := lookup(env, name); !set {
			env = append(env, v)
		}
	}
	return env
}

// RunImage returns the location of the run image that a builder names.
func RunImage(builder *image.Image) (location.Location, error) {
	p, err := platformOf(builder)
	if err != nil {
		return location.Location{}, err
	}
	if p.runImage() == "" {
		return location.Location{}, fmt.Errorf("%s: it names no run image", builder.Name)
	}
	return location.ListedImage(p.runImage(), "")
}

// runImage returns the name of the run image in the labels, or "".
func (p *platform) runImage() string {
	if len(p.labels.RunImages) > 0 {
		return p.labels.RunImages[0].Image
	}
	return p.labels.Stack.RunImage.Image
}
