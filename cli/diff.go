package cli

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/diff"
	"laminate/packager/location"
	"laminate/packager/source"
)

const diffDescription = `It tells what changed between two builders, buildpackages or other images, from any source and of any tool: buildpacks and extensions that were added, removed, upgraded or rebuilt, the detection order, the lifecycle, run images and other settings, labels, the layers that are kept and new, and how many bytes users pull who have OLD.

Only manifests, configs and labels are read. The images of two indexes are compared platform by platform; --target chooses one. Sizes are those of compressed layers; they are unknown in the Docker daemon and its archives.

Markdown is for release notes and the summaries of CI jobs. Whether the images differ does not change the exit code, except with --exit-code.

` + refForms

// diffForms are the values of --output.
var diffForms = []string{"json", "markdown", "text"}

func (r *run) diffCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "output", Value: "text", Usage: "print the differences as `FORMAT`: text, json or markdown"},
		&cli.BoolFlag{Name: "exit-code", Usage: "exit with 3 if the images are not identical"},
	}
	return &cli.Command{
		Name: "diff", Usage: "tell what changed between two images", ArgsUsage: "OLD NEW", Description: diffDescription, UsageText: diffExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, refFlags(), commonFlags()),
		Action: func(c *cli.Context) error {
			return (&diffRun{session: session{run: r, c: c}}).do()
		},
	}
}

// diffRun is one run of "diff".
type diffRun struct {
	session
	refs   []location.Location
	target flatten.Target
	report *diff.Report
}

func (d *diffRun) do() error {
	refs, target, errs := d.readRefs("OLD", "NEW")
	format, err := d.format(diffForms...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return wrongUse(d.c, "%w", err)
	}
	d.refs, d.target = refs, target
	if err := d.within(d.c.Context, d.compare); err != nil {
		return err
	}
	if err := standardOutput(d.print(d.stdout, format)); err != nil {
		return err
	}
	if d.c.Bool("exit-code") && !d.report.Identical {
		return errDifferent
	}
	return nil
}

// errDifferent is not printed: it makes the exit code 3.
var errDifferent = errors.New("the images differ")

// compare opens the images, both at once, and compares them.
func (d *diffRun) compare(ctx context.Context) error {
	d.openSources()
	if d.refs[0].Written == d.refs[1].Written {
		d.ui.Warn("OLD and NEW are both " + d.refs[0].Written)
	}
	var found [2]*source.Platforms
	var errs [2]error // of both, so that one run tells all
	var group errgroup.Group
	for i := range found {
		group.Go(func() error {
			found[i], errs[i] = d.images(ctx, d.refs[i], d.target)
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	report, err := diff.Platforms(found[0].Images, found[1].Images)
	if err != nil {
		return err
	}
	for i, of := range []*diff.Source{&report.Old, &report.New} {
		of.Name = d.refs[i].String()
		if index := found[i].Index; index.Hex != "" {
			of.Digest = index.String()
		}
	}
	d.report = report
	return nil
}

func (d *diffRun) print(w io.Writer, format string) error {
	switch format {
	case "json":
		return writeJSON(w, d.report)
	case "markdown":
		return write(w, diffMarkdown(d.report))
	}
	return write(w, diffText(d.report, d.coloured()))
}
