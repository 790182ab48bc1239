package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/location"
	"laminate/packager/mediatype"
)

const packageDescription = `DEST is one of

   FILE.cnb             a file that pack and laminate read
   oci:DIR[:TAG]        an OCI layout
   oci-archive:FILE     a tar file of one
   docker-archive:FILE  a file as "docker save" writes it
   docker://REF         a registry
   docker-daemon:REF    the Docker daemon
   REF                  the Docker daemon, or with --publish a registry

Sources, in package.toml and --path, take any of these forms, or a directory, a .tgz, .tar or .zip archive of one, or an http(s):// URL of a file. They may be flattened packages; every buildpack in them is usable.

--flatten-layers groups buildpacks by the order of the package. Each composite that the order names has one layer, with all buildpacks that only this composite brings. Buildpacks that several composites bring have one layer more for each such set of composites. Components that the order names, and the package's own buildpack.toml, keep a layer each. In a builder, RFC 0123 sanctions such layers; in a buildpackage they are common practice, but the distribution spec has one buildpack per layer.

Standard output has a line for each output: its digest (the image ID in a Docker daemon or docker-archive), a tab, and the destination.`

// packageCommand is "package", for buildpacks and for extensions. Extensions are never flattened
// and have no dependencies.
func (r *run) packageCommand(kind flatten.Kind, name, usage string) *cli.Command {
	mode := new(flattenMode)
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read the package.toml `FILE`; by default ./package.toml, or without one, the buildpack in ."},
		&cli.StringFlag{Name: "path", Aliases: []string{"p"}, Usage: "package the buildpack in `DIR`, or in any other source, without a package.toml"},
	}
	if kind == flatten.Buildpack {
		flags = append(flags,
			&cli.StringFlag{Name: "buildpack-registry", Aliases: []string{"r"}, Usage: "accepted, and has no effect", Hidden: true},
			&cli.GenericFlag{Name: "flatten-layers", Value: mode, DefaultText: "none",
				Usage: "group buildpacks into layers by `MODE`: composites (the default of a bare flag), all, auto (buildpacks that change together, within --max-layers or 119 layers; layers of the previous image stay), as-packaged (as in the sources) or none"},
			&cli.BoolFlag{Name: "flatten", Usage: "the same as --flatten-layers=all, as in pack"},
			&cli.StringSliceFlag{Name: "flatten-group", Usage: "let the buildpacks `REF,...` share a layer; may be repeated. A REF is id@version, an id, or a glob such as acme/*"},
			&cli.StringSliceFlag{Name: "flatten-exclude", Aliases: []string{"e"}, Usage: "let each of the buildpacks `REF,...` keep its own layer; may be repeated"},
		)
	}
	flags = append(flags,
		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "write an output of `FORMAT`, image or file; by default DEST decides"},
	)
	examples := packageExamples
	if kind == flatten.Extension {
		examples = extensionExamples
	}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "DEST", Description: packageDescription, UsageText: examples,
		UseShortOptionHandling: false, HideHelpCommand: true,
		Flags: slices.Concat(flags, outputFlags(), commonFlags()),
		Action: func(c *cli.Context) error {
			p := &packageRun{output: output{session: session{run: r, c: c}}, kind: kind, mode: mode}
			return p.do(c.Context)
		},
	}
}

// packageRun is one run of the package command.
type packageRun struct {
	output
	kind flatten.Kind
	mode *flattenMode
}

func (p *packageRun) do(ctx context.Context) error {
	errs := p.read()
	if p.c.Bool("flatten") && *p.mode != "" && flatten.Mode(*p.mode) != flatten.All {
		errs = append(errs, fmt.Errorf("--flatten means --flatten-layers=all, and cannot stand beside --flatten-layers=%s", *p.mode))
	}
	if p.c.String("config") != "" && p.c.String("path") != "" {
		errs = append(errs, errors.New("--config and --path cannot both be given: package.toml says where its buildpack is"))
	}
	if err := errors.Join(errs...); err != nil {
		return wrongUse(p.c, "%w", err)
	}
	cfg, err := p.config()
	if err != nil {
		return err
	}
	return p.work(ctx, func(ctx context.Context) error {
		p.doubtAuto(flatten.Mode(*p.mode))
		options := p.options(p.grouping())
		options.Targets, options.MediaTypes = p.targets, p.family()
		jobs, err := packager.Prepare(ctx, p.open, packager.Options{Options: options, Config: cfg})
		if err != nil {
			return err
		}
		if err := p.check(packageTargets(jobs)); err != nil {
			return err
		}
		if p.c.Bool("dry-run") {
			return p.dry(ctx, func(w io.Writer) error {
				if p.json {
					return printPackagesJSON(ctx, w, p.dest.String(), jobs)
				}
				return printPlans(ctx, w, jobs)
			})
		}
		return build(ctx, &p.output, jobs, func(w io.Writer) error { return printPlans(ctx, w, jobs) })
	})
}

// family returns the media types of the images: OCI's in a registry, like those that pack
// publishes.
func (p *packageRun) family() mediatype.Family {
	if p.mediaTypes == "" && p.dest.Kind == location.Registry {
		return mediatype.OCI
	}
	return p.mediaTypes
}

func (p *packageRun) grouping() flatten.Grouping {
	w := flatten.Grouping{Mode: cmp.Or(flatten.Mode(*p.mode), flatten.None), Exclude: p.list("flatten-exclude")}
	if p.c.Bool("flatten") {
		w.Mode = flatten.All
	}
	for _, group := range p.c.StringSlice("flatten-group") {
		w.Groups = append(w.Groups, split(group))
	}
	return w
}

// config returns what to package.
func (p *packageRun) config() (config.Package, error) {
	file := p.c.String("config")
	for _, given := range []string{file, p.c.String("path")} {
		switch filepath.Base(given) {
		case "buildpack.toml", "extension.toml":
			return config.Package{}, fmt.Errorf("%s says what a %s is; to package it, name its directory: --path %s", given, p.kind, filepath.Dir(given))
		}
	}
	if path := p.c.String("path"); path != "" {
		if loc, err := location.ParseSource(path, ""); err == nil && loc.Kind == location.Name {
			return config.Package{}, fmt.Errorf("--path %s: no such file or directory; write docker://%s for an image", path, path)
		}
		return packager.ForBuildpack(p.kind, path), nil
	}
	if file == "" {
		if _, err := os.Stat("package.toml"); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(p.kind.Descriptor()); errors.Is(err, fs.ErrNotExist) {
				return config.Package{}, fmt.Errorf("no package.toml or %s in the working directory; name one with --config FILE, or what to package with --path", p.kind.Descriptor())
			}
			return packager.ForBuildpack(p.kind, "."), nil
		}
		file = "package.toml"
	}
	cfg, err := config.ReadPackage(file)
	err = configError(err, file, "package.toml", p.c.String("config") == "")
	if err == nil && cfg.Kind != p.kind {
		other := map[flatten.Kind]string{flatten.Buildpack: "laminate package", flatten.Extension: "laminate extension package"}
		err = fmt.Errorf("%s is about an %s; package it with: %s", file, cfg.Kind, other[cfg.Kind])
		err = errors.New(strings.Replace(err.Error(), "an buildpack", "a buildpack", 1))
	}
	return cfg, err
}

func packageTargets(jobs []*packager.Job) []flatten.Target {
	var targets []flatten.Target
	for _, j := range jobs {
		targets = append(targets, j.Target)
	}
	return targets
}
