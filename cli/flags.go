package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/packager/registry"
)

// outputFlags are the flags of every command that writes images.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "target", Aliases: []string{"t"}, Usage: "make an image for `OS/ARCH[/VARIANT][:DISTRO@VERSION]`; may be repeated"},
		&cli.BoolFlag{Name: "publish", Usage: "write to a registry if DEST is a plain REF"},
		&cli.StringSliceFlag{Name: "tag", Usage: "write the image to `REF` as well; may be repeated"},
		&cli.BoolFlag{Name: "append-image-name-suffix", Usage: "with several targets in a registry, also tag each image: DEST's tag followed by -os-arch[-variant]"},
		&cli.StringFlag{Name: "digest-file", Usage: "write the digest of the output to `FILE` once the output is complete"},
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "add the label `KEY=VALUE` to the image; may be repeated"},
		&cli.StringFlag{Name: "compression", Value: "gzip", Usage: "compress layers with `NAME`, gzip or zstd"},
		&cli.StringFlag{Name: "media-types", Usage: "write manifests with `TYPES`, oci or docker; by default oci for packages in a registry, for zstd, in OCI layouts, and over an OCI build image, and docker otherwise"},
		&cli.StringFlag{Name: "on-conflict", Usage: "if sources have different contents for one buildpack, `USE` the first or the last of them (last is what pack does), and warn; by default that is an error"},
		&cli.StringFlag{Name: "pull-policy", DefaultText: "always for images in TOML files, if-not-present for docker-daemon:REF", Usage: "let the Docker daemon pull the images that are read from it `WHEN`: always, if-not-present or never"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "allow plain HTTP for the registry `HOST`; may be repeated"},
		jobsFlag(),
		&cli.IntFlag{Name: "max-layers", Usage: "fail if the image would have more than `N` layers; with auto, plan for N layers"},
		&cli.StringFlag{Name: "previous", Usage: "reuse the layers of the image `REF`, by default of what a registry or OCI layout has at DEST; none disables that"},
		&cli.BoolFlag{Name: "no-cache", Usage: "neither read nor fill the cache; see: laminate cache --help"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the plan, and write nothing"},
		outputFlag("text, or json for the plan of a dry run and for what was written"),
	}
}

// commonFlags are the flags of all commands. They may also come before the command.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print results and errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print every step"},
		&cli.BoolFlag{Name: "force-color", Usage: "print colours even if standard error is not a terminal"},
		&cli.BoolFlag{Name: "no-color", Usage: "print no colours; so does NO_COLOR in the environment"},
		&cli.BoolFlag{Name: "timestamps", Usage: "accepted, and has no effect", Hidden: true},
		&cli.BoolFlag{Name: "version", Usage: "print laminate's version"},
	}
}

// jobsFlag is the flag of commands that make many requests to registries.
func jobsFlag() cli.Flag {
	return &cli.IntFlag{
		Name: "jobs", Value: registry.DefaultJobs, DefaultText: fmt.Sprintf("%d, up to %d if it answers all of them", registry.DefaultJobs, registry.MostJobs),
		Usage: "have at most `N` requests to a registry under way at the same time; fewer while it answers 429",
	}
}

// maxJobs keeps a typing error from flooding the registry with requests.
const maxJobs = 64

// readJobs reads jobsFlag. Without it, the pool decides.
func (s *session) readJobs() (errs []error) {
	if !s.c.IsSet("jobs") {
		return nil
	}
	if s.jobs = s.c.Int("jobs"); s.jobs < 1 || s.jobs > maxJobs {
		errs = append(errs, fmt.Errorf("--jobs needs a number from 1 to %d", maxJobs))
	}
	return errs
}

// anywhere reports whether a flag is set on the command or on one above it.
func anywhere(c *cli.Context, flag string) bool {
	return slices.ContainsFunc(c.Lineage(), func(l *cli.Context) bool {
		return l.Command != nil && l.Bool(flag)
	})
}

// empty returns an error for flags with an empty value, which mostly comes from an unset variable.
func (s *session) empty() (errs []error) {
	for _, f := range s.c.Command.Flags {
		name := f.Names()[0]
		if !s.c.IsSet(name) {
			continue
		}
		switch f.(type) {
		case *cli.StringFlag:
			if s.c.String(name) == "" {
				errs = append(errs, fmt.Errorf("--%s has an empty value", name))
			}
		case *cli.StringSliceFlag:
			for _, v := range s.c.StringSlice(name) {
				if len(split(v)) == 0 {
					errs = append(errs, fmt.Errorf("--%s has an empty value", name))
				}
			}
		}
	}
	return errs
}

// list returns the values of a flag that may be repeated, or hold several values separated by
// commas.
func (s *session) list(flag string) []string {
	var all []string
	for _, v := range s.c.StringSlice(flag) {
		all = append(all, split(v)...)
	}
	return all
}

func split(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}
