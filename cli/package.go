package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager"
	"laminate/packager/assembly"
	"laminate/packager/config"
	"laminate/packager/location"
	"laminate/packager/sink"
	"laminate/packager/source"
)

const packageDescription = `DEST is one of

   FILE.cnb             a file, as pack and laminate take it
   oci:DIR[:TAG]        an OCI layout
   oci-archive:FILE     a tar file of one
   docker-archive:FILE  a file as "docker save" writes it
   docker://REF         a registry
   docker-daemon:REF    the Docker daemon
   REF                  the Docker daemon, or with --publish a registry

and every source, in package.toml or behind --path, may be any of these too, or
a directory, a .tgz, .tar or .zip archive of one, or the http(s):// address of a
file. A package may be flattened already; every buildpack in it is usable.

--flatten-layers takes the order of the package apart: each composite that it
names gets one layer, with all that this composite alone brings; what several of
them bring gets one layer more for each such set; components that it names, and
the package's own buildpack.toml, keep a layer each. In a builder such layers are
what RFC 0123 describes; in a buildpackage they are common practice, but the
distribution spec has one buildpack per layer.

Standard output has one line for each output: its digest (the image ID where a
Docker daemon or docker-archive holds it), a tab, and where it is.`

// packageCommand is "package": the same for buildpacks and for extensions,
// which are never flattened and have no dependencies.
func (r *run) packageCommand(kind flatten.Kind, name, usage string) *cli.Command {
	mode := new(flattenMode)
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "package.toml to read, `FILE`; without it ./package.toml is, or where there is none, the buildpack in ."},
		&cli.StringFlag{Name: "path", Aliases: []string{"p"}, Usage: "buildpack to package, `DIR` or any other source, without a package.toml"},
	}
	if kind == flatten.Buildpack {
		flags = append(flags,
			&cli.GenericFlag{Name: "flatten-layers", Value: mode, DefaultText: "none",
				Usage: "put buildpacks together in layers; `MODE` is composites (what a bare flag means), all, as-packaged (as the sources have them) or none"},
			&cli.BoolFlag{Name: "flatten", Usage: "pack's name for --flatten-layers=all"},
			&cli.StringSliceFlag{Name: "flatten-group", Usage: "these share a layer, `REF,...`; may be repeated. A REF is id@version, an id, or a glob on it such as acme/*"},
			&cli.StringSliceFlag{Name: "flatten-exclude", Aliases: []string{"e"}, Usage: "these keep a layer of their own, `REF,...`; may be repeated"},
			&cli.IntFlag{Name: "max-layers", Usage: "fail where the image would have more layers than `N`"},
		)
	}
	flags = append(flags,
		&cli.StringSliceFlag{Name: "target", Aliases: []string{"t"}, Usage: "package for `OS/ARCH[/VARIANT][:DISTRO@VERSION]`; may be repeated"},
		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "`FORMAT` of the output, image or file; without it DEST tells"},
		&cli.BoolFlag{Name: "publish", Usage: "write to a registry, where DEST is a plain REF"},
		&cli.StringSliceFlag{Name: "tag", Usage: "write the image to `REF` as well; may be repeated"},
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "add the label `KEY=VALUE` to the image; may be repeated"},
		&cli.StringFlag{Name: "compression", Value: "gzip", Usage: "compress layers with `NAME`, gzip or zstd"},
		&cli.StringFlag{Name: "pull-policy", Value: string(source.Always), Usage: "when the Docker daemon pulls a source, `WHEN`: always, if-not-present or never"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak to the registry `HOST` also without TLS; may be repeated"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the plan, and write nothing"},
	)
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "DEST", Description: packageDescription,
		UseShortOptionHandling: false, HideHelpCommand: true,
		Flags: append(flags, commonFlags()...),
		Action: func(c *cli.Context) error {
			p := &packageRun{run: r, kind: kind, c: c, mode: mode}
			return p.do(c.Context)
		},
	}
}

// packageRun is one run of the package command.
type packageRun struct {
	*run
	kind flatten.Kind
	c    *cli.Context
	mode *flattenMode
	dest location.Location
}

func (p *packageRun) do(ctx context.Context) (err error) {
	o, err := p.options()
	if err != nil {
		return err
	}
	workDir, err := os.MkdirTemp(p.env("TMPDIR"), "laminate-")
	if err != nil {
		return fmt.Errorf("work directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(workDir)) }()
	say := p.say(p.c)
	defer say.end()
	o.WorkDir, o.Log = workDir, say
	if p.dest.Kind == location.Daemon {
		daemon, err := sink.DaemonTarget(ctx, p.dest)
		if err != nil {
			return err
		}
		o.Fits = func(t flatten.Target) bool { return t.Arch == "" || t.Arch == daemon.Arch && t.OS == daemon.OS }
	}
	policy, err := source.ParsePullPolicy(p.c.String("pull-policy"))
	if err != nil {
		return wrongUse(p.c, "%w", err)
	}
	open := &source.Opener{
		Insecure: p.list("insecure-registry"), PullPolicy: policy, PreferDaemon: p.dest.Kind == location.Daemon,
		CacheDir: p.cacheDir(), WorkDir: workDir, Log: say,
	}
	jobs, err := packager.Prepare(ctx, open, o)
	if err != nil {
		return err
	}
	if p.c.Bool("dry-run") {
		say.end()
		return printPlans(p.stdout, jobs)
	}
	return p.write(ctx, jobs, sink.Options{Insecure: p.list("insecure-registry"), Tags: p.list("tag"), Log: say, WorkDir: workDir}, say)
}

// write builds the images, writes them and prints what was written.
func (p *packageRun) write(ctx context.Context, jobs []*packager.Job, o sink.Options, say *say) error {
	var targets []flatten.Target
	for _, job := range jobs {
		targets = append(targets, job.Target)
	}
	if err := sink.Check(p.dest, targets, o); err != nil {
		return err
	}
	var images []sink.Image
	for _, job := range jobs {
		img, err := job.Build(ctx)
		if assembly.IsFault(err) {
			return &bugError{err: err, jobs: jobs}
		}
		if err != nil {
			return err
		}
		images = append(images, sink.Image{Image: img.Image, Target: img.Target})
	}
	written, err := sink.Write(ctx, p.dest, images, o)
	say.end()
	for _, w := range written {
		if _, err := fmt.Fprintf(p.stdout, "%s\t%s\n", w.Digest, w.Destination); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	return err
}

// options reads the command line. What is wrong with it is wrong use; what is
// wrong with a file that it names is not.
func (p *packageRun) options() (packager.Options, error) {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	args := p.c.Args().Slice()
	if len(args) != 1 {
		note(wrongCount(args))
	} else {
		var err error
		p.dest, err = location.ParseDest(args[0], location.DestOptions{Publish: p.c.Bool("publish"), Format: p.c.String("format")})
		note(err)
	}
	o := packager.Options{Wishes: p.wishes(), MaxLayers: p.c.Int("max-layers")}
	for _, t := range p.list("target") {
		target, err := flatten.ParseTarget(t)
		note(err)
		o.Targets = append(o.Targets, target)
	}
	var err error
	o.Labels, err = parseLabels(p.c.StringSlice("label"))
	note(err)
	o.Compression, err = layer.ParseCompression(p.c.String("compression"))
	note(err)
	o.Created, err = epoch(p.env("SOURCE_DATE_EPOCH"))
	note(err)
	if p.c.Int("max-layers") < 0 || p.c.IsSet("max-layers") && p.c.Int("max-layers") == 0 {
		note(errors.New("--max-layers needs a number from 1 on"))
	}
	if p.c.String("config") != "" && p.c.String("path") != "" {
		note(errors.New("--config and --path cannot both be given: package.toml says where its buildpack is"))
	}
	if err := errors.Join(errs...); err != nil {
		return o, wrongUse(p.c, "%w", err)
	}
	o.Config, err = p.config()
	return o, err
}

func (p *packageRun) wishes() flatten.Wishes {
	w := flatten.Wishes{Mode: cmp.Or(flatten.Mode(*p.mode), flatten.None), Exclude: p.list("flatten-exclude")}
	if p.c.Bool("flatten") {
		w.Mode = flatten.All
	}
	for _, group := range p.c.StringSlice("flatten-group") {
		w.Groups = append(w.Groups, split(group))
	}
	return w
}

// config finds out what to package.
func (p *packageRun) config() (config.Package, error) {
	file := p.c.String("config")
	if path := p.c.String("path"); path != "" {
		if loc, err := location.ParseSource(path, ""); err == nil && loc.Kind == location.Name {
			return config.Package{}, fmt.Errorf("--path %s: there is no such file or directory; an image is written docker://%s", path, path)
		}
		return packager.ForBuildpack(p.kind, path), nil
	}
	if file == "" {
		if _, err := os.Stat("package.toml"); errors.Is(err, fs.ErrNotExist) {
			return packager.ForBuildpack(p.kind, "."), nil
		}
		file = "package.toml"
	}
	cfg, err := packager.ReadConfig(file)
	if err == nil && cfg.Kind != p.kind {
		other := map[flatten.Kind]string{flatten.Buildpack: "laminate package", flatten.Extension: "laminate extension package"}
		err = fmt.Errorf("%s is about an %s; package it with: %s", file, cfg.Kind, other[cfg.Kind])
		err = errors.New(strings.Replace(err.Error(), "an buildpack", "a buildpack", 1))
	}
	return cfg, err
}

// list gives the values of a flag that may be repeated, or hold several
// values between commas.
func (p *packageRun) list(flag string) []string {
	var all []string
	for _, v := range p.c.StringSlice(flag) {
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
