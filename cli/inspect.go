package cli

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"laminate/cli/inspecthtml"
	"laminate/packager/inspect"
	"laminate/packager/location"

	"laminate/flatten"
)

const inspectDescription = `It describes a buildpackage, an extension package, a builder or an app image from any source, made by any tool: kind, digest, targets, stack and run images, lifecycle, the detection order with what each composite expands to, the layers with their sizes and the buildpacks in them, and how many layers may be added. Of a multi-platform index it describes all images, unless --target names one.

Only manifests, configs and labels are read. With --read-layers, all layers are read and verified as well, which adds uncompressed sizes, the size of each buildpack, and the dependencies and default versions in the [metadata] of each buildpack.toml.

--output json and yaml are the same document; markdown is for the notes of a release; html is one page for a browser, which needs no network, with a map of layers and buildpacks by size, the order, and a filter.

` + refForms

// inspectForms are the values of --output, with what prints them. Text has no colours.
var inspectForms = map[string]func(io.Writer, *inspect.Report) error{
	"html":     inspecthtml.Write,
	"text":     printReport,
	"json":     func(w io.Writer, r *inspect.Report) error { return writeJSON(w, r) },
	"yaml":     printReportYAML,
	"markdown": printReportMarkdown,
}

func (r *run) inspectCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "output", Value: "text", Usage: "print as `FORMAT`: " + flatten.AnyOf(forms(inspectForms))},
		&cli.BoolFlag{Name: "read-layers", Usage: "read all layers, for what labels do not tell; markdown implies it"},
	}
	return &cli.Command{
		Name: "inspect", Usage: "describe a buildpackage, a builder or an app image", ArgsUsage: "REF", Description: inspectDescription, UsageText: inspectExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, refFlags(), commonFlags()),
		Action: func(c *cli.Context) error {
			return (&inspectRun{session: session{run: r, c: c}}).do()
		},
	}
}

// forms returns the values of an --output flag, sorted.
func forms[F any](all map[string]F) []string { return slices.Sorted(maps.Keys(all)) }

// inspectRun is one run of "inspect".
type inspectRun struct {
	session
	loc    location.Location
	target flatten.Target
	read   bool // the layers
	report *inspect.Report
}

func (i *inspectRun) do() error {
	refs, target, errs := i.readRefs("REF")
	form, err := i.format(forms(inspectForms)...)
	if form == "html" && isTerminal(i.stdout) {
		err = errors.New("--output html prints a page for a browser, and standard output is a terminal; add > page.html")
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return wrongUse(i.c, "%w", err)
	}
	i.loc, i.target, i.read = refs[0], target, i.c.Bool("read-layers") || form == "markdown"
	if err := i.within(i.c.Context, i.look); err != nil {
		return err
	}
	write := inspectForms[form]
	if form == "text" && i.coloured() {
		write = printColouredReport
	}
	return standardOutput(write(i.stdout, i.report))
}

// look makes the report.
func (i *inspectRun) look(ctx context.Context) error {
	i.openSources()
	found, err := i.images(ctx, i.loc, i.target)
	if err != nil {
		return err
	}
	if i.report, err = inspect.New(i.loc.String(), found.Index, found.Images); err != nil || !i.read {
		return err
	}
	return i.report.Read(ctx, found.Images)
}

// coloured reports whether standard output gets colours.
func (s *session) coloured() bool {
	terminal := isTerminal(s.stdout) && s.env("TERM") != "dumb"
	return terminal && s.env("NO_COLOR") == "" && !anywhere(s.c, "no-color") || anywhere(s.c, "force-color")
}

// isTerminal reports whether what is written to w is seen at once.
func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}
