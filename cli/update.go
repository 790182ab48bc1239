package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"

	"laminate/builder/update"
	"laminate/flatten"
	"laminate/packager/localfile"
	"laminate/packager/once"
	"laminate/packager/sink"
	"laminate/packager/source"
)

const updateDescription = `It looks up the newest versions of what FILE refers to, in the tags of their registries, and puts them into FILE: the buildpacks, extensions, lifecycle, build and run images of a builder.toml, or the dependencies of a package.toml, and the orders that name their versions, in the buildpack.toml of a composite, too. Only values are replaced, in place: comments, order, quotes and unknown tables stay byte for byte.

Tags that are strict semantic versions move up within their variant (1.2.3-jammy stays with -jammy), never down, and to pre-releases only from one. Other tags, such as latest, stay. A reference with a digest keeps having one. What is not in a registry stays.

A comment on the line of a reference, directly above it, or at the header of its table limits it:

   # laminate: ~1.2
   # laminate: >=1.2 <2
   # laminate: pin

FILE is changed as a whole or not at all: if a registry does not answer for one reference, all errors are printed, and nothing is written.`

// updateForms are the values of --output.
var updateForms = []string{"json", "markdown", "text"}

func (r *run) updateCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.BoolFlag{Name: "check", Usage: "write nothing, and exit with 3 if something is newer"},
		&cli.StringFlag{Name: "only", Value: string(update.Major), Usage: "move versions as far as `PART`: patch (1.2.3 to 1.2.x), minor (to 1.x) or major"},
		&cli.StringFlag{Name: "output", Value: "text", Usage: "print what changes as `FORMAT`: text, json or markdown"},
		&cli.StringFlag{Name: "lifecycle-image", Value: update.LifecycleRepository, Usage: "take the versions of the lifecycle from the tags of `REPO`"},
		&cli.IntFlag{Name: "jobs", Value: update.DefaultJobs, Usage: "look up `N` references at a time"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "allow plain HTTP for the registry `HOST`; may be repeated"},
	}
	return &cli.Command{
		Name: "update", Usage: "put newer versions into a builder.toml or package.toml", ArgsUsage: "FILE", Description: updateDescription, UsageText: updateExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, commonFlags()),
		Action: func(c *cli.Context) error {
			return (&updateRun{session: session{run: r, c: c}}).do(c.Context)
		},
	}
}

// updateRun is one run of "update".
type updateRun struct {
	session
	options update.Options
	format  string
}

func (u *updateRun) do(ctx context.Context) error {
	if err := errors.Join(u.readFlags()...); err != nil {
		return wrongUse(u.c, "%w", err)
	}
	files, err := readUpdated(u.c.Args().First())
	if err != nil {
		return err
	}
	u.ui = u.begin(u.c)
	defer u.ui.end()
	u.options.Registry = &repositories{open: &source.Opener{
		Keychain: u.openKeychain(u.ui.Warn), Pool: u.openPool(), Insecure: u.list("insecure-registry"), Log: u.ui,
	}}
	plan, err := files.Plan(ctx, u.options)
	u.ui.end()
	if err != nil {
		return err
	}
	for _, w := range plan.Warnings.Warnings() {
		u.ui.Warn(w.Error())
	}
	check := u.c.Bool("check")
	outputs, err := plan.Outputs()
	if err == nil && !check {
		err = replace(outputs)
	}
	if err != nil {
		return err
	}
	if err := standardOutput(u.print(u.stdout, plan, outputs)); err != nil {
		if !check && len(outputs) > 0 {
			err = fmt.Errorf("%w; the files are updated nevertheless", err)
		}
		return err
	}
	u.sum(plan, outputs)
	if check && len(outputs) > 0 {
		return errDifferent
	}
	return nil
}

// readUpdated reads FILE.
func readUpdated(file string) (*update.Files, error) {
	files, err := update.Read(file)
	var other *localfile.NotRegularError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file; name a builder.toml or a package.toml", file)
	case errors.As(err, &other) && other.Mode.IsDir():
		return nil, fmt.Errorf("%s: it is a directory; name the builder.toml or package.toml in it", file)
	}
	return files, err
}

// readFlags reads the flags and FILE, and returns all errors.
func (u *updateRun) readFlags() (errs []error) {
	note := func(err error) { errs = append(errs, err) }
	switch args := u.c.Args().Slice(); {
	case len(args) == 0:
		note(errors.New("FILE is missing; name a builder.toml or a package.toml"))
	case len(args) > 1:
		note(fmt.Errorf("%d arguments; write one FILE, a builder.toml or a package.toml", len(args)))
	case args[0] == "":
		note(errors.New("FILE is empty; name a builder.toml or a package.toml"))
	}
	var err error
	if u.options.Only, err = update.ParseOnly(u.c.String("only")); err != nil && u.c.String("only") != "" {
		note(fmt.Errorf("--only: %w", err))
	}
	u.format, err = u.session.format(updateForms...)
	note(err)
	u.options.Lifecycle = u.c.String("lifecycle-image")
	if named, err := reference.ParseNormalizedNamed(u.options.Lifecycle); u.options.Lifecycle != "" && (err != nil || !reference.IsNameOnly(named)) {
		note(fmt.Errorf("invalid --lifecycle-image %q; write a repository of a registry without a tag, as in %s", flatten.Clip(u.options.Lifecycle), update.LifecycleRepository))
	}
	errs = append(errs, u.readJobs()...)
	u.options.Jobs = u.jobs
	errs = append(errs, u.empty()...)
	return append(errs, checkHosts(u.list("insecure-registry"))...)
}

// replace writes the files.
func replace(outputs []update.Output) error {
	var files []sink.Replacement
	for _, o := range outputs {
		files = append(files, sink.Replacement{Path: o.Path, Old: o.Old, New: o.New})
	}
	return sink.ReplaceFiles(files)
}

// repositories implements update.Registry. It logs in to each repository once.
type repositories struct {
	open *source.Opener
	once.Map[string, *source.Repository]
}

func (r *repositories) at(ctx context.Context, repository string) (*source.Repository, error) {
	return r.Do(repository, func() (*source.Repository, error) { return r.open.Repository(ctx, repository) })
}

// Tags implements update.Registry.
func (r *repositories) Tags(ctx context.Context, repository string) ([]string, error) {
	at, err := r.at(ctx, repository)
	if err != nil {
		return nil, err
	}
	return at.Tags(ctx)
}

// Digest implements update.Registry.
func (r *repositories) Digest(ctx context.Context, repository, tag string) (string, error) {
	at, err := r.at(ctx, repository)
	if err != nil {
		return "", err
	}
	digest, err := at.Digest(ctx, tag)
	if err != nil || digest.Hex == "" {
		return "", err
	}
	return digest.String(), nil
}

// Labels implements update.Registry.
func (r *repositories) Labels(ctx context.Context, repository, reference string) (string, map[string]string, error) {
	at, err := r.at(ctx, repository)
	if err != nil {
		return "", nil, err
	}
	return at.Labels(ctx, reference)
}

// updateJSON is the output of --output json.
type updateJSON struct {
	Schema int `json:"schema"`
	// Changes is how many values change.
	Changes int `json:"changes"`
	// Written are the files that were written; none with --check.
	Written  []string      `json:"written"`
	Items    []update.Item `json:"items"`
	Warnings []string      `json:"warnings"`
}

func (u *updateRun) print(w io.Writer, plan *update.Plan, outputs []update.Output) error {
	switch u.format {
	case "json":
		report := updateJSON{Schema: jsonSchema, Changes: plan.Changes(), Written: []string{}, Items: plan.Items, Warnings: []string{}}
		if !u.c.Bool("check") {
			for _, o := range outputs {
				report.Written = append(report.Written, o.Path)
			}
		}
		if report.Items == nil {
			report.Items = []update.Item{}
		}
		for _, p := range plan.Warnings {
			report.Warnings = append(report.Warnings, p.Error())
		}
		return writeJSON(w, report)
	case "markdown":
		return write(w, updateMarkdown(plan))
	}
	return write(w, updateText(plan, anywhere(u.c, "verbose")))
}

// sum prints a summary.
func (u *updateRun) sum(plan *update.Plan, outputs []update.Output) {
	file := u.c.Args().First()
	switch n := plan.Changes(); {
	case n == 0:
		u.ui.line("%s: up to date", file)
	case u.c.Bool("check"):
		u.ui.line("%s: %s out of date; nothing was written", file, count(n, "value"))
	default:
		for _, o := range outputs {
			u.ui.line("%s: %s updated", o.Path, count(countIn(plan, o.Path), "value"))
		}
	}
}

func countIn(plan *update.Plan, file string) (n int) {
	for _, i := range plan.Items {
		if i.File == file && i.Status == update.Update {
			n++
		}
	}
	return n
}
