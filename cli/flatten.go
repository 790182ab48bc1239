package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/relayer"
)

const flattenDescription = `It changes which buildpacks of the builder or buildpackage REF share a layer, and writes the image to DEST. It needs no sources. The other layers, the config, and the labels that are not about layers stay as they are. Only layers that change are read; in a registry, the others are mounted.

--flatten says which buildpacks share a layer, as in "laminate builder create": composites (the default), REF,REF,..., all, auto, or none for one buildpack per layer.

REF and DEST are written as for "laminate package"; they may be the same image. A DEST without docker:// or --publish is an image in the Docker daemon; a REF without docker:// is then read from the daemon if it is there, and otherwise from the registry. An index is changed for all its platforms, or for those of --target. Signatures, attestations and SBOMs that are attached to REF are left out: they are about its digest.

A builder may have as many layers as platforms can still build with: 125 less those that a build adds, 6, or 7 with system buildpacks.

The previous image is what a registry or OCI layout has at DEST, and otherwise REF: a plan of auto keeps its layers as far as there is room.

Standard output has a line for each output: its digest (the image ID in a Docker daemon or docker-archive), a tab, and the destination.`

func (r *run) flattenCommand() *cli.Command {
	layers := new(builderFlatten)
	flags := []cli.Flag{
		&cli.GenericFlag{Name: "flatten", Value: layers, DefaultText: string(flatten.Composites), Usage: "let the buildpacks `WHICH` share a layer, see above; may be repeated"},
		&cli.StringSliceFlag{Name: "flatten-exclude", Aliases: []string{"e"}, Usage: "let each of the buildpacks `REF,...` keep its own layer; may be repeated"},
	}
	for _, f := range outputFlags() {
		switch f := f.(type) {
		case *cli.StringFlag:
			switch f.Name {
			case "on-conflict": // there is one source
				continue
			case "compression":
				f.DefaultText, f.Usage = "as in REF", "compress layers that change with `NAME`, gzip or zstd"
			case "media-types":
				f.Usage = "write manifests with `TYPES`, oci or docker; by default as REF, and oci in OCI layouts"
			case "previous":
				f.Usage = "reuse the layers of the image `REF`, by default of what a registry or OCI layout has at DEST; none disables that, and plans afresh"
			}
		case *cli.StringSliceFlag:
			if f.Name == "target" {
				f.Usage = "change the image for `OS/ARCH[/VARIANT][:DISTRO@VERSION]` only; may be repeated"
			}
		}
		flags = append(flags, f)
	}
	return &cli.Command{
		Name: "flatten", Usage: "change the layers of an existing builder or buildpackage", ArgsUsage: "REF DEST", Description: flattenDescription, UsageText: flattenExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, commonFlags()),
		Action: func(c *cli.Context) error {
			f := &flattenRun{output: output{session: session{run: r, c: c}}, layers: layers}
			return f.do(c.Context)
		},
	}
}

// flattenRun is one run of "flatten".
type flattenRun struct {
	output
	layers *builderFlatten
}

func (f *flattenRun) do(ctx context.Context) error {
	if err := errors.Join(f.read("REF")...); err != nil {
		return wrongUse(f.c, "%w", err)
	}
	return f.work(ctx, func(ctx context.Context) error {
		options := f.options(f.grouping())
		options.Targets, options.MediaTypes = f.targets, f.mediaTypes
		if !f.c.IsSet("compression") {
			options.Compression = layer.Uncompressed // as the image
		}
		jobs, err := relayer.Prepare(ctx, f.open, f.refs[0], relayer.Options{Options: options, Afresh: f.c.String("previous") == "none"})
		if err != nil {
			return err
		}
		var targets []flatten.Target
		for _, j := range jobs {
			targets = append(targets, j.Target)
		}
		if err := f.check(targets); err != nil {
			return err
		}
		if f.c.Bool("dry-run") {
			return f.dry(ctx, func(w io.Writer) error {
				if f.json {
					return printRelayersJSON(ctx, w, f.dest.String(), jobs)
				}
				return printRelayers(ctx, w, jobs)
			})
		}
		return build(ctx, &f.output, jobs, func(w io.Writer) error { return printRelayers(ctx, w, jobs) })
	})
}

// grouping returns the groups; without --flatten, composites.
func (f *flattenRun) grouping() flatten.Grouping {
	mode := f.layers.mode
	if len(f.layers.groups) == 0 {
		mode = cmp.Or(mode, flatten.Composites)
	}
	return flatten.Grouping{Mode: cmp.Or(mode, flatten.AsPackaged), Groups: f.layers.groups, Exclude: f.list("flatten-exclude")}
}

// printRelayers prints the plan of each image.
func printRelayers(ctx context.Context, w io.Writer, jobs []*relayer.Job) error {
	for i, j := range jobs {
		o, err := j.Outlook(ctx)
		if err != nil {
			return err
		}
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := printRelayer(w, j, o); err != nil {
			return err
		}
	}
	return nil
}

func printRelayer(w io.Writer, j *relayer.Job, o relayer.Outlook) error {
	spare := ""
	if j.Budget > 0 {
		spare = fmt.Sprintf(" of at most %d, %d to spare", j.Budget, j.Budget-j.Layers())
	}
	_, err := fmt.Fprintf(w, "%s for %s: %s%s\n", cmp.Or(j.Expansion.Root.String(), "builder"), j.Target, count(j.Layers(), "layer"), spare)
	errs := []error{err}
	if j.Others > 0 {
		_, err = fmt.Fprintf(w, "%s without buildpacks, unchanged\n", count(j.Others, "layer"))
		errs = append(errs, err)
	}
	_, err = fmt.Fprintf(w, "%s in %s:\n", count(refs(j.Plan), "buildpack"), count(len(j.Plan), "layer"))
	return errors.Join(append(errs, err, printLayers(w, j.Plan, o.Outlook), printOutlook(w, o.Outlook, otherLayers(o)))...)
}

// otherLayers describes the layers without buildpacks that are new to clients.
func otherLayers(o relayer.Outlook) []string {
	if o.Besides == 0 {
		return nil
	}
	return []string{count(o.Besides, "layer") + " without buildpacks"}
}

// printRelayersJSON prints the plan of each image.
func printRelayersJSON(ctx context.Context, w io.Writer, dest string, jobs []*relayer.Job) error {
	report := planJSON{Schema: jsonSchema, Destination: dest}
	for _, j := range jobs {
		o, err := j.Outlook(ctx)
		if err != nil {
			return err
		}
		kind := "builder"
		if j.IsBuildpackage() {
			kind = string(flatten.Buildpack)
		}
		p := newImagePlan(j.Target.String(), kind, o.Doubled)
		p.Root = j.Expansion.Root.String()
		p.add(string(flatten.Buildpack), o.Outlook)
		p.previous(o.Outlook, otherLayers(o))
		p.Total.Layers = j.Layers()
		if j.Budget > 0 {
			p.Total.MaxLayers = &j.Budget
		}
		if j.Others > 0 {
			p.OtherLayers = append(p.OtherLayers, originCount{"without buildpacks", j.Others})
		}
		report.Images = append(report.Images, p)
	}
	return writeJSON(w, report)
}

// adviseOnRelayer returns the options with which the image has fewer layers.
func adviseOnRelayer(e *relayer.TooManyLayersError) string {
	if e.Others >= e.Max {
		return fmt.Sprintf("Raise --max-layers to %d or more, or create the image again on a build image with fewer layers.", e.Others+1)
	}
	if e.Mode == flatten.All {
		return "Use larger groups, or create the image again on a build image with fewer layers."
	}
	return fmt.Sprintf("--flatten=%s keeps to %d.", flatten.Auto, e.Max)
}
