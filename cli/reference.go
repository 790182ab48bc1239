package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/source"
)

// refForms says how images that exist are written as arguments.
const refForms = `An image is FILE.cnb, oci:DIR[:TAG], the directory of an OCI layout, oci-archive:FILE, docker-archive:FILE, docker-daemon:REF, or the REF of an image in a registry, with or without docker://.`

// refFlags are the flags of every command that reads images that exist already.
func refFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "read the image for `OS/ARCH[/VARIANT][:DISTRO@VERSION]` only; by default, those for all platforms"},
		&cli.StringFlag{Name: "pull-policy", DefaultText: "if-not-present", Usage: "let the Docker daemon pull docker-daemon:REF `WHEN`: always, if-not-present or never"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "allow plain HTTP for the registry `HOST`; may be repeated"},
	}
}

// readRefs reads the flags of refFlags, and the arguments, which names name. It returns all errors.
func (s *session) readRefs(names ...string) (refs []location.Location, target flatten.Target, errs []error) {
	args := s.c.Args().Slice()
	if len(args) > len(names) {
		compare := ""
		switch {
		case hasFlag(s.c, "app"):
			compare = "; name apps with --app"
		case len(names) == 1 && len(args) == 2:
			compare = "; laminate diff compares two images"
		}
		errs = append(errs, fmt.Errorf("%d arguments; write %s%s", len(args), strings.Join(names, " "), compare))
	}
	for i, n := range names {
		if i >= len(args) {
			errs = append(errs, missingRef(n))
			continue
		}
		loc, err := parseRef(n, args[i])
		errs = append(errs, err)
		refs = append(refs, loc)
	}
	targets, _, err := parseTargets(split(s.c.String("target")))
	switch {
	case err != nil:
		errs = append(errs, err)
	case len(targets) > 1 || len(targets) == 1 && (targets[0].Arch == "" || len(targets[0].Distros) > 1):
		errs = append(errs, errors.New("--target is one platform, as linux/amd64"))
	case len(targets) == 1:
		target = targets[0]
	}
	errs = append(errs, s.readPolicy())
	errs = append(errs, s.empty()...)
	return refs, target, append(errs, checkHosts(s.list("insecure-registry"))...)
}

// images opens the images of a location.
func (s *session) images(ctx context.Context, loc location.Location, target flatten.Target) (*source.Platforms, error) {
	if loc.Kind == location.Path {
		for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
			info, err := os.Stat(filepath.Join(loc.Path, kind.Descriptor()))
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			command := "package"
			if kind == flatten.Extension {
				command = "extension package"
			}
			return nil, fmt.Errorf("%s: a directory with %s, not an image; package it first, as in laminate %s out.cnb --path %s", loc, kind.Descriptor(), command, loc)
		}
	}
	found, err := s.open.Platforms(ctx, loc, target)
	if err != nil && ctx.Err() == nil && loc.Kind == location.Name && hasNoHost(loc.Ref) {
		return nil, fmt.Errorf("%w; an image in the Docker daemon is written docker-daemon:%s", err, loc)
	}
	return found, err
}

// hasNoHost reports whether a reference names no registry, so that it may well be a local image.
func hasNoHost(ref string) bool {
	parsed, err := name.ParseReference(ref)
	return err == nil && parsed.Context().RegistryStr() == name.DefaultRegistry && !strings.HasPrefix(ref, name.DefaultRegistry) && !strings.HasPrefix(ref, "docker.io/")
}

// parseRef parses an argument that is an image.
func parseRef(name, arg string) (location.Location, error) {
	loc, err := location.ParseSource(arg, "")
	if err != nil {
		return loc, fmt.Errorf("%s: %w", name, err)
	}
	return loc, nil
}

func missingRef(name string) error {
	return fmt.Errorf("%s is missing; name an image, as in acme/builder, image.cnb or oci:DIR", name)
}

// format returns the value of --output, which must be one of these.
func (s *session) format(formats ...string) (string, error) {
	given := s.c.String("output")
	for _, f := range formats {
		if f == given {
			return f, nil
		}
	}
	return "", fmt.Errorf("invalid value %q for --output; write %s", flatten.Clip(given), flatten.AnyOf(formats))
}
