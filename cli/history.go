package cli

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/urfave/cli/v2"

	"laminate/builder/history"
	"laminate/builder/history/collect"
	"laminate/packager/sink"
	"laminate/packager/source"
)

const historyDescription = `It reads a builder's releases from a registry: the tags of REPO that are versions (1.2.3 or v1.2.3, with or without a suffix such as -rc.1; X.Y if there is no X.Y.Z), and of each image the manifest and the labels, but no layer. It prints the file that "laminate builder simulate" reads: which buildpacks each release has, in which layers, and their sizes.

Images that are not builders for the platform, and builders with invalid labels, are skipped with a warning; "left_out" in the notes of the output names them.

With --file the history is written to FILE, gzipped if its name ends in .gz. Releases that are in FILE are not read again: tags are expected never to move. FILE is saved from time to time, so that a run that was interrupted can be repeated and resumes from there. --since and --last limit what is read; other releases in FILE stay.

--since takes a version, or a date (2025-01-31). With a date, releases are read from the newest version down to the first that was created before. Many builders have no creation date.`

func (r *run) historyCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "file", Usage: "write to `FILE`, and read only releases that are not in it"},
		&cli.StringFlag{Name: "since", Usage: "skip releases older than `VERSION|DATE`"},
		&cli.IntFlag{Name: "last", Usage: "read only the last `N` versions"},
		&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Value: "linux/amd64", Usage: "read the images for `OS/ARCH[/VARIANT][:DISTRO@VERSION]`"},
		&cli.IntFlag{Name: "jobs", Value: collect.DefaultJobs, Usage: "read `N` images at a time"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "allow plain HTTP for the registry `HOST`; may be repeated"},
	}
	return &cli.Command{
		Name: "history", Usage: "read a builder's releases from a registry", ArgsUsage: "REPO", Description: historyDescription, UsageText: historyExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, commonFlags()),
		Action: func(c *cli.Context) error {
			return (&historyRun{session: session{run: r, c: c}}).do()
		},
	}
}

// historyRun is one run of "builder history".
type historyRun struct {
	session
	options collect.Options
	kept    int // releases in FILE
}

func (h *historyRun) do() error {
	if err := errors.Join(h.readFlags()...); err != nil {
		return wrongUse(h.c, "%w", err)
	}
	file := h.c.String("file")
	if file != "" {
		have, err := readHistory(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if have != nil {
			h.options.Have, h.kept = have, len(have.Releases)
		}
		h.options.Save = func(f *history.File) error { return h.keep(file, f) }
	}
	h.ui = h.begin(h.c)
	defer h.ui.end()
	h.options.Log = h.ui
	open := &source.Opener{Keychain: h.openKeychain(h.ui.Warn), Pool: h.openPool(), Insecure: h.list("insecure-registry"), Log: h.ui}
	images, err := open.Repository(h.c.Context, h.options.Builder)
	if err != nil {
		return err
	}
	h.options.Images = images
	result, err := collect.Run(h.c.Context, h.options)
	h.ui.end()
	if err != nil {
		return h.goOn(err)
	}
	h.sum(result)
	if file != "" {
		return nil
	}
	return standardOutput(result.History.Write(h.stdout))
}

// readFlags reads the flags and REPO, and returns all errors.
func (h *historyRun) readFlags() (errs []error) {
	o := &h.options
	var err error
	if o.Builder, err = parseRepository(h.c.Args().Slice()); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, h.empty()...)
	targets, skipped, err := parseTargets(split(h.c.String("target")))
	switch {
	case err != nil:
		errs = append(errs, err)
	case len(targets) != 1 || len(skipped) > 0 || len(targets[0].Distros) > 1 || targets[0].Arch == "":
		errs = append(errs, errors.New("--target is one platform, as linux/amd64"))
	default:
		o.Target = targets[0]
	}
	if o.Since, o.After, err = parseSince(h.c.String("since")); err != nil {
		errs = append(errs, err)
	}
	if o.Last = h.c.Int("last"); o.Last < 0 || o.Last == 0 && h.c.IsSet("last") {
		errs = append(errs, errors.New("--last needs a number from 1 on"))
	}
	errs = append(errs, h.readJobs()...)
	o.Jobs = h.jobs
	return append(errs, checkHosts(h.list("insecure-registry"))...)
}

// parseRepository reads the only argument.
func parseRepository(args []string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("REPO is missing; name the builder's repository, as in acme/builder")
	}
	if len(args) > 1 {
		return "", fmt.Errorf("%d arguments; write one REPO, as in acme/builder", len(args))
	}
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(args[0], "docker://"))
	if err != nil {
		return "", fmt.Errorf("invalid REPO %q: %w; write a repository of a registry, as in acme/builder", args[0], err)
	}
	if !reference.IsNameOnly(named) {
		return "", fmt.Errorf("invalid REPO %q: all of its tags are read; leave out what comes after %s", args[0], reference.FamiliarName(named))
	}
	return reference.FamiliarName(named), nil
}

// parseSince reads a version or a date.
func parseSince(s string) (version string, date time.Time, err error) {
	switch {
	case s == "", collect.IsVersion(s):
		return s, time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if date, err = time.Parse(form, s); err == nil {
			return "", date, nil
		}
	}
	return "", time.Time{}, fmt.Errorf("invalid --since %q; write a version, as 1.2.3, or a date, as 2025-01-31", s)
}

// keep writes the history to FILE.
func (h *historyRun) keep(file string, f *history.File) error {
	err := sink.WriteFile(file, func(w io.Writer) error {
		if !strings.HasSuffix(file, ".gz") {
			return f.Write(w)
		}
		z := gzip.NewWriter(w)
		return errors.Join(f.Write(z), z.Close())
	})
	if err != nil {
		return err
	}
	h.kept = len(f.Releases)
	return nil
}

// keptError is the error that ended a run after part of its work was saved.
type keptError struct {
	err  error
	note string
}

func (e *keptError) Error() string { return fmt.Sprintf("%v; %s", e.err, e.note) }
func (e *keptError) Unwrap() error { return e.err }

// goOn adds to an error how many releases FILE has.
func (h *historyRun) goOn(err error) error {
	if h.kept == 0 || !errors.As(err, new(*collect.UnfinishedError)) {
		return err
	}
	return &keptError{err: err, note: fmt.Sprintf("%s has %s; the same command goes on from there", h.c.String("file"), count(h.kept, "release"))}
}

// sum prints a summary.
func (h *historyRun) sum(r *collect.Result) {
	said := fmt.Sprintf("%s, %d of them read now", count(len(r.History.Releases), "release"), r.Read)
	if r.LeftOut > 0 {
		said += fmt.Sprintf("; %s left out", count(r.LeftOut, "version"))
	}
	if r.Others > 0 {
		said += fmt.Sprintf("; %s not looked at", count(r.Others, "other tag"))
	}
	h.ui.line("%s: %s", h.options.Builder, said)
}
