package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"laminate/builder/smoke"
	"laminate/builder/smoke/rootfs"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/location"
	"laminate/packager/sink"
)

const smokeDescription = `It builds each app with the lifecycle in the builder REF, in a sandbox, and checks what came of it. It needs Linux, and neither Docker nor root.

The app image is the one that a platform gets from the same builder and app. What is expected of the build and of the image is in the file smoke.toml in the app's directory: exit code, detected group, processes, files, labels, lines of the log, and what a launched process does. Without that file, the app must build, and the launcher must start its default process.

The run image is the one that the builder names, from its registry, or that of --run-image. Of its layers only those that are needed are read.

REF and --run-image are written as for "laminate package". The sandbox has the builder's root file system, which is unpacked once into the cache, and cannot be written to; no network, unless --network host is given; no devices; and none of the caller's files but a copy of the app.

The exit code is 1 if an app does not do what is expected of it.`

func (r *run) smokeCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "app", Aliases: []string{"path", "p"}, Usage: "build the app in `DIR`; may be repeated"},
		&cli.StringFlag{Name: "run-image", Usage: "use the run image `REF` instead of the one that the builder names"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `KEY=VALUE` for the build; may be repeated"},
		&cli.StringFlag{Name: "cache", Usage: "keep the build cache of the app in `DIR`, for the next build"},
		&cli.StringFlag{Name: "network", Value: "none", Usage: "let the build reach `NETWORK`: none or host"},
		&cli.StringFlag{Name: "layer-writes", Value: "warn", Usage: "`MODE`: warn reports what buildpacks write into the layers of others; ignore does not look"},
		&cli.DurationFlag{Name: "timeout", Value: 30 * time.Minute, Usage: "end a build after `DURATION`, as in 90s or 15m"},
		&cli.StringFlag{Name: "output-layout", Usage: "write the app image to the OCI layout `DIR`"},
	}
	flags = append(flags, refFlags()...)
	return &cli.Command{
		Name: "smoke", Usage: "build apps with a builder, without Docker", ArgsUsage: "REF", Description: smokeDescription, UsageText: smokeExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, []cli.Flag{&cli.BoolFlag{Name: "no-cache", Usage: "neither read nor fill laminate's cache"}, outputFlag("text, json or junit (JUnit XML, as CI systems read it)")}, commonFlags()),
		Action: func(c *cli.Context) error {
			return (&smokeRun{session: session{run: r, c: c}}).do(c.Context)
		},
	}
}

// smokeForms are the values of --output.
var smokeForms = []string{"json", "junit", "text"}

// smokeRun is one run of "builder smoke".
type smokeRun struct {
	session
	ref, runImage location.Location
	target        flatten.Target
	env           []config.EnvVar
	network       sandbox.Network
	format        string
}

func (s *smokeRun) do(ctx context.Context) error {
	if err := errors.Join(s.read()...); err != nil {
		return wrongUse(s.c, "%w", err)
	}
	begun := time.Now()
	report := smoke.Report{Schema: smoke.ReportSchema, Builder: s.ref.String(), Started: begun.UTC().Truncate(time.Second)}
	err := s.within(ctx, func(ctx context.Context) error {
		s.openSources()
		return s.test(ctx, &report)
	})
	if err != nil {
		return err
	}
	report.Seconds = time.Since(begun).Seconds()
	if err := standardOutput(s.print(report)); err != nil {
		return err
	}
	if !report.Passed() {
		return errNotAsExpected
	}
	return nil
}

// errNotAsExpected is the error of apps that were tested and failed.
var errNotAsExpected = errors.New("not all apps do what is expected of them")

// read reads the flags and REF, and returns all errors.
func (s *smokeRun) read() (errs []error) {
	refs, target, errs := s.readRefs("REF")
	if len(refs) > 0 {
		s.ref = refs[0]
	}
	s.target = target
	if target.Arch == "" {
		s.target = flatten.Target{OS: "linux", Arch: runtime.GOARCH}
	}
	apps := s.c.StringSlice("app")
	if len(apps) == 0 {
		errs = append(errs, errors.New("--app is missing; name the directory of an app to build"))
	}
	if len(apps) > 1 && (s.c.String("cache") != "" || s.c.String("output-layout") != "") {
		errs = append(errs, errors.New("--cache and --output-layout are for one app; test the apps one by one"))
	}
	if given := s.c.String("run-image"); given != "" {
		var err error
		if s.runImage, err = location.ParseSource(given, ""); err != nil {
			errs = append(errs, fmt.Errorf("--run-image: %w", err))
		}
	}
	for _, v := range s.c.StringSlice("env") {
		name, value, has := strings.Cut(v, "=")
		if !has || name == "" || strings.ContainsAny(name, "/\x00") {
			errs = append(errs, fmt.Errorf("invalid --env %q; write KEY=VALUE", flatten.Clip(v)))
		}
		s.env = append(s.env, config.EnvVar{Name: name, Value: value})
	}
	switch s.c.String("network") {
	case "none":
	case "host":
		s.network = sandbox.Host
	default:
		errs = append(errs, fmt.Errorf("invalid --network %q; write none or host", flatten.Clip(s.c.String("network"))))
	}
	switch mode := s.c.String("layer-writes"); mode {
	case "ignore", "warn":
	default:
		errs = append(errs, fmt.Errorf("invalid --layer-writes %q; write ignore or warn", flatten.Clip(mode)))
	}
	var err error
	s.format, err = s.session.format(smokeForms...)
	return append(errs, err)
}

// test tests all apps.
func (s *smokeRun) test(ctx context.Context, report *smoke.Report) error {
	for _, dir := range s.c.StringSlice("app") {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("--app %s: no such directory; name the directory of an app", dir)
		}
	}
	builder, err := s.open.Image(ctx, s.ref, s.target)
	if err != nil {
		return err
	}
	if digest, err := builder.Digest(); err == nil && builder.Stored() {
		report.Digest = digest.String()
	}
	runAt := s.runImage
	if runAt.Written == "" {
		if runAt, err = smoke.RunImage(builder); err != nil {
			return err
		}
	}
	run, err := s.open.Image(ctx, runAt, builder.Target)
	if err != nil {
		return fmt.Errorf("run image %w; name another one with --run-image", err)
	}
	root, err := rootfs.Unpack(ctx, builder, rootfs.Options{Cache: s.cache, WorkDir: s.workDir, Log: s.ui})
	if err != nil {
		return err
	}
	defer root.Close()
	if err := sandbox.Check(root.Path); err != nil {
		return err
	}
	for i, app := range s.c.StringSlice("app") {
		work := filepath.Join(s.workDir, fmt.Sprintf("app-%d", i+1))
		if err := os.Mkdir(work, 0o700); err != nil {
			return err
		}
		result, err := s.app(ctx, smoke.BuildOptions{
			Builder: builder, Root: root.Path, RunImage: run, App: app, Env: s.env, Network: s.network,
			Cache: s.c.String("cache"), WorkDir: work, Output: s.progress(), Log: s.ui,
			LayerWrites: s.c.String("layer-writes") == "warn",
		})
		if err != nil {
			return err
		}
		report.Apps = append(report.Apps, result)
	}
	return nil
}

// app tests one app, and writes its image if the user asks for it.
func (s *smokeRun) app(ctx context.Context, o smoke.BuildOptions) (smoke.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Duration("timeout"), fmt.Errorf("app %s took longer than --timeout %s", o.App, s.c.Duration("timeout")))
	defer cancel()
	result, built := smoke.Test(ctx, o)
	dest := s.c.String("output-layout")
	if dest == "" || built == nil || built.App == nil {
		return result, nil
	}
	to := location.Location{Kind: location.OCILayout, Path: dest, Written: "oci:" + dest}
	_, err := sink.Write(ctx, to, []sink.Image{{Image: built.App, Target: built.App.Target}}, sink.Options{Log: s.ui})
	return result, err
}

// progress returns where the lifecycle's output goes: to standard error, if the user asks for it.
func (s *smokeRun) progress() io.Writer {
	if anywhere(s.c, "verbose") {
		return s.ui.lines
	}
	return nil
}

// print prints the report.
func (s *smokeRun) print(r smoke.Report) error {
	switch s.format {
	case "json":
		return writeJSON(s.stdout, r)
	case "junit":
		return r.WriteJUnit(s.stdout)
	}
	for _, a := range r.Apps {
		if _, err := fmt.Fprintf(s.stdout, "%s: %s in %.1f s\n", printable(a.App), a.Status, a.Seconds); err != nil {
			return err
		}
		if a.Status != smoke.Passed {
			for _, p := range a.Phases {
				for line := range strings.Lines(p.Log) {
					fmt.Fprintf(s.stdout, "   %s | %s\n", p.Name, printable(strings.TrimSuffix(line, "\n"))) // the next write fails too
				}
			}
		}
		if a.Error != "" {
			fmt.Fprintf(s.stdout, "   error: %s\n", printable(a.Error))
		}
		for _, f := range a.Failures {
			fmt.Fprintf(s.stdout, "   %s\n", printable(f.Error()))
		}
		if err := s.printWrites(a); err != nil {
			return err
		}
	}
	return nil
}

// writesShown is how many writes into others' layers are printed for an app.
const writesShown = 20

// printWrites prints what buildpacks wrote into the layers of others.
func (s *smokeRun) printWrites(a smoke.Result) error {
	for i, w := range a.LayerWrites {
		if i == writesShown {
			fmt.Fprintf(s.stdout, "   warning: %d more changes in layers of other buildpacks; --output json lists all\n", len(a.LayerWrites)-i)
			break
		}
		what := "layer " + strconv.Quote(w.Layer)
		if w.Layer == "" {
			what = "the directory"
		}
		fmt.Fprintf(s.stdout, "   warning: %s %s %s, in %s of %s\n", printable(w.Buildpack), w.Change, printable(w.Path), what, printable(w.Owner))
	}
	if a.LayerWritesError == "" {
		return nil
	}
	_, err := fmt.Fprintf(s.stdout, "   warning: not all changes in layers of other buildpacks were found: %s\n", printable(a.LayerWritesError))
	return err
}
