package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/builder"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
)

const builderDescription = `builder.toml is the one that pack reads. DEST, and the sources in builder.toml, are written as for "laminate package".

--flatten says which buildpacks share a layer:

   --flatten, --flatten=composites   one layer for each composite, with what
                                     only it brings; one more for each set of
                                     composites that share buildpacks; one for
                                     each top-level component
   --flatten=REF,REF,...             these share a layer, as in pack; may be
                                     repeated
   --flatten=all                     one layer for all
   --flatten=auto                    as many layers as --max-layers allows, so
                                     that clients that have the previous image
                                     pull the fewest bytes: its layers stay, in
                                     their order; what changed lies above them,
                                     and what changes together lies together
   --flatten=as-packaged             layers stay as they are in the sources
   --flatten=none                    one buildpack per layer, the default

--flatten=REF,... may be combined with any of the others, and takes precedence. The previous image is the one in a registry or OCI layout at DEST; if DEST is a new tag or something else, name it with --previous.

A builder may have as many layers as platforms can still build with: 125 less those that a build adds, 6, or 7 with system buildpacks.

Without [lifecycle] in builder.toml, the builder has lifecycle ` + config.DefaultLifecycle + `. A version is downloaded from the GitHub releases, or from the URL in LAMINATE_LIFECYCLE_URL, in which {version} and {arch} (x86-64, arm64, ppc64le or s390x) are replaced.

Standard output has a line for each output: its digest (the image ID in a Docker daemon or docker-archive), a tab, and the destination.`

func (r *run) builderCommand(name string) *cli.Command {
	layers := new(builderFlatten)
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read the builder.toml `FILE`"},
		&cli.GenericFlag{Name: "flatten", Value: layers, DefaultText: "none", Usage: "let the buildpacks `WHICH` share a layer, see above; may be repeated"},
		&cli.StringSliceFlag{Name: "flatten-exclude", Aliases: []string{"e"}, Usage: "let each of the buildpacks `REF,...` keep its own layer; may be repeated"},
		&cli.StringFlag{Name: "lifecycle", Usage: "take the lifecycle from `URI`, or this version of it, instead of what builder.toml names"},
		&cli.StringFlag{Name: "buildpack-registry", Aliases: []string{"R"}, Usage: "accepted, and has no effect", Hidden: true},
		&cli.BoolFlag{Name: "buildpackless", Usage: "leave out buildpacks, extensions, orders and system buildpacks, and say so in the description"},
		&cli.BoolFlag{Name: "skip-run-image-check", Usage: "do not look at the run images, for air-gapped networks"},
	}
	return &cli.Command{
		Name: name, Usage: "make a builder from a builder.toml", ArgsUsage: "DEST", Description: builderDescription, UsageText: builderExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, outputFlags(), commonFlags()),
		Action: func(c *cli.Context) error {
			b := &builderRun{output: output{session: session{run: r, c: c}}, layers: layers}
			return b.do(c.Context)
		},
	}
}

// builderRun is one run of "builder create".
type builderRun struct {
	output
	layers *builderFlatten
}

func (b *builderRun) do(ctx context.Context) error {
	errs := b.read()
	if b.c.String("config") == "" {
		errs = append(errs, errors.New("--config is missing; name the builder.toml to read"))
	}
	if err := errors.Join(errs...); err != nil {
		return wrongUse(b.c, "%w", err)
	}
	file := b.c.String("config")
	if base := filepath.Base(file); base == "package.toml" || base == "buildpack.toml" || base == "extension.toml" {
		return fmt.Errorf("--config %s: it is a %s; name the builder.toml, or package it with laminate package", file, base)
	}
	cfg, problems, err := config.ReadBuilder(file)
	err = configError(err, file, "builder.toml", false)
	if err = errors.Join(err, problems.Err()); err != nil {
		return err
	}
	if b.c.Bool("buildpackless") {
		cfg = cfg.WithoutBuildpacks()
	}
	return b.work(ctx, func(ctx context.Context) error {
		b.doubtAuto(b.layers.mode)
		for _, w := range problems.Warnings() {
			b.ui.Warn(w.Error())
		}
		options := b.options(flatten.Grouping{Mode: b.layers.mode, Groups: b.layers.groups, Exclude: b.list("flatten-exclude")})
		options.Targets, options.MediaTypes = b.wanted(cfg.Targets), b.mediaTypes
		jobs, err := builder.Prepare(ctx, b.open, builder.Options{
			Options: options, Config: cfg, Version: version(),
			Lifecycle: b.c.String("lifecycle"), LifecycleURL: b.env("LAMINATE_LIFECYCLE_URL"),
			SkipRunImages: b.c.Bool("skip-run-image-check"),
		})
		if err != nil {
			return err
		}
		if err := b.check(builderTargets(jobs)); err != nil {
			return err
		}
		if b.c.Bool("dry-run") {
			return b.dry(ctx, func(w io.Writer) error {
				if b.json {
					return printBuildersJSON(ctx, w, b.dest.String(), jobs)
				}
				return printBuilders(ctx, w, jobs)
			})
		}
		for _, j := range jobs {
			for _, r := range j.Overridden {
				b.ui.Warn(fmt.Sprintf("%s of the build image is replaced: its content is another", r))
			}
		}
		return build(ctx, &b.output, jobs, func(w io.Writer) error { return printBuilders(ctx, w, jobs) })
	})
}

// builderFlatten is the value of --flatten: a mode, refs that share a layer, or nothing, for which
// the library passes "true". Repeated values add up.
type builderFlatten struct {
	mode   flatten.Mode
	groups [][]string
}

// Set implements flag.Value.
func (f *builderFlatten) Set(s string) error {
	mode := flatten.Mode(s)
	switch mode {
	case "":
		return takes(s, ", none, or REFs that share a layer")
	case "true":
		mode = flatten.Composites
	case flatten.Composites, flatten.All, flatten.Auto, flatten.AsPackaged, flatten.None:
	default:
		if !strings.ContainsAny(s, "/@,*?") && len(flatten.NearMisses(s, modes)) > 0 {
			return takes(s, ", none, or REFs that share a layer")
		}
		f.groups = append(f.groups, split(s))
		return nil
	}
	if f.mode != "" && f.mode != mode {
		return fmt.Errorf("the mode is %s already; leave one of the two out", f.mode)
	}
	f.mode = mode
	return nil
}

func (f *builderFlatten) String() string { return "" }

// IsBoolFlag makes the value optional.
func (f *builderFlatten) IsBoolFlag() bool { return true }

// TakesFollowing reports whether an argument after the bare flag is meant as its value, as in
// pack's syntax. Each of its items must be id@version.
func (f *builderFlatten) TakesFollowing(arg string) bool {
	for item := range strings.SplitSeq(arg, ",") {
		if _, err := flatten.ParseRef(strings.TrimSpace(item)); err != nil {
			return false
		}
	}
	return true
}

// printBuilders prints the plan of each builder.
func printBuilders(ctx context.Context, w io.Writer, jobs []*builder.Job) error {
	var errs []error
	for i, j := range jobs {
		if i > 0 {
			_, err := fmt.Fprintln(w)
			errs = append(errs, err)
		}
		errs = append(errs, printBuilder(ctx, w, j))
	}
	return errors.Join(errs...)
}

func printBuilder(ctx context.Context, w io.Writer, j *builder.Job) error {
	o, err := j.Outlook(ctx)
	if err != nil {
		return err
	}
	total := j.Layers.Total()
	_, err = fmt.Fprintf(w, "builder for %s: %s of at most %d, %d to spare\n", j.Target, count(total, "layer"), j.Layers.Budget, j.Layers.Budget-total)
	errs := []error{err, printCount(w, j.Layers)}
	_, err = fmt.Fprintf(w, "%s in %s:\n", count(refs(j.Plan), "buildpack"), count(len(j.Plan), "layer"))
	errs = append(errs, err, printLayers(w, j.Plan, o.Outlook), printOutlook(w, o.Outlook, o.Besides), printDoubled(w, o.Doubled))
	if len(j.Extensions) > 0 {
		_, err = fmt.Fprintf(w, "%s:\n", count(len(j.Extensions), "extension"))
		errs = append(errs, err, printLayers(w, j.Extensions, engine.Outlook{}))
	}
	for _, r := range j.Overridden {
		_, err = fmt.Fprintf(w, "replaced: %s of the build image\n", r)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func refs(plan flatten.LayerPlan) (n int) {
	for _, l := range plan {
		n += len(l.Refs)
	}
	return n
}

// ownLayers are the layers without buildpacks or extensions.
func ownLayers(c builder.Count) []builder.Origin {
	return []builder.Origin{{Name: "build image", Layers: c.Base}, {Name: "lifecycle", Layers: c.Lifecycle}, {Name: "configuration", Layers: c.Configuration}, {Name: "whiteouts", Layers: c.Whiteouts}}
}

// printCount prints the number of layers by origin.
func printCount(w io.Writer, c builder.Count) error {
	for _, o := range slices.Concat(ownLayers(c), c.Modules) {
		if o.Layers == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%4d  %s\n", o.Layers, o.Name); err != nil {
			return err
		}
	}
	return nil
}

func builderTargets(jobs []*builder.Job) []flatten.Target {
	var targets []flatten.Target
	for _, j := range jobs {
		targets = append(targets, j.Target)
	}
	return targets
}
