package release

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/mod/semver"

	"laminate/flatten"
	"laminate/packager/config"
)

// checkVersion checks that a version, if there is one, is semantic and can stand in tags.
func checkVersion(version string) error {
	switch {
	case version == "":
	case !isVersion(version):
		return fmt.Errorf("invalid version %q; write a semantic version, as in 1.2.3", version)
	case semver.Build(canonical(version)) != "":
		return fmt.Errorf("invalid version %q; tags cannot hold +", version)
	}
	return nil
}

// checkTags checks what release.toml alone does not show: the length of the tags with the version, and
// tags that are the same only with it, or in repositories that are written in different ways.
func checkTags(images []config.ReleaseImage, version string) error {
	var errs []error
	taken := map[string]string{}
	for _, img := range images {
		for _, t := range img.Tags {
			tag := t.For(version, img)
			if t.Versioned() && version == "" {
				continue
			}
			if !config.IsTag(tag) {
				errs = append(errs, fmt.Errorf("%s: invalid tag %q; tags have at most 128 characters", img.Title(), tag))
				continue
			}
			for _, written := range img.Repositories {
				repository, err := name.NewRepository(written)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: repository %q: %w", img.Title(), written, err))
					continue
				}
				ref := repository.Tag(tag).Name()
				if other := taken[ref]; other != "" {
					errs = append(errs, fmt.Errorf("%s: tag %s:%s is that of %s as well", img.Title(), written, tag, other))
				}
				taken[ref] = img.Title()
			}
		}
	}
	return errors.Join(errs...)
}

// checkFiles checks that the configs and the apps are there. Variants that share one have one error.
func (r *Release) checkFiles() error {
	var errs []error
	seen := map[string]bool{}
	problem := func(message string, path ...any) {
		p := r.Config.Problem(message, path...)
		if !seen[p.Error()] {
			errs = append(errs, p)
		}
		seen[p.Error()] = true
	}
	for _, img := range r.Config.Images {
		if info, err := os.Stat(r.path(img.Config)); err != nil || info.IsDir() {
			of := img.Path
			if len(of) > 2 && !r.Config.Has(append(of[:len(of):len(of)], "config")...) { // the variant has that of the builder
				of = of[:2]
			}
			problem("config "+img.Config+": no such file", append(of[:len(of):len(of)], "config")...)
		}
		for _, a := range img.Smoke {
			if info, err := os.Stat(r.path(a.App)); err != nil || !info.IsDir() {
				problem("app "+a.App+": no such directory", append(a.Path[:len(a.Path):len(a.Path)], "app")...)
			}
		}
	}
	return errors.Join(errs...)
}

// checkMachine checks that this machine can build the apps.
func (r *Release) checkMachine() error {
	var errs []error
	for _, item := range r.Items {
		fits := len(item.ReleaseImage.Smoke) == 0
		for _, img := range item.Images {
			fits = fits || isThis(img.Target)
		}
		if !fits {
			errs = append(errs, &ItemError{item.Title(), errOtherMachine})
		}
	}
	return errors.Join(errs...)
}

var errOtherMachine = fmt.Errorf("no image for linux/%s, on which the apps could be built; release on another machine, or without smoke", runtime.GOARCH)

// isThis reports whether a target is the platform of this machine.
func isThis(t flatten.Target) bool { return t.OS == "linux" && t.Arch == runtime.GOARCH }
