package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"laminate/builder/smoke"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/location"
)

const smokeDescription = `It builds each app with the lifecycle in the builder REF, in a sandbox, and checks what came of it. It needs Linux, and neither Docker nor root.

The app image is the one that a platform gets from the same builder and app. What is expected of the build and of the image is in the file smoke.toml in the app's directory: exit code, detected group, processes, files, labels, lines of the log, and what a launched process does. Without that file, the app must build, and the launcher must start its default process; so it must with a file that does not say what to launch, if there is a default process.

The run image is the one that the builder names, from its registry, or that of --run-image. Of its layers only those that are needed are read.

Each --buildpack BP, in their order, is a member of the only group that the build tries, instead of the builder's order. BP is the location of a buildpack or buildpackage, which is added to the builder for this run, or replaces one of the same id and version; or ID[@VERSION] of a buildpack in the builder; or from=builder, which stands for the builder's order. This is how to test a builder without buildpacks. Image extensions cannot be added.

REF, --run-image and buildpacks are written as for "laminate package". The sandbox has the builder's root file system, which is unpacked once into the cache, and cannot be written to; no network, unless --network host is given; no devices; and none of the caller's files but a copy of the app.

The exit code is 1 if an app does not do what is expected of it.`

func (r *run) smokeCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "app", Aliases: []string{"path", "p"}, Usage: "build the app in `DIR`; may be repeated"},
		&cli.StringFlag{Name: "run-image", Usage: "use the run image `REF` instead of the one that the builder names"},
		&cli.StringSliceFlag{Name: "buildpack", Aliases: []string{"b"}, Usage: "use the buildpack `BP` instead of the builder's order: REF, ID[@VERSION] in the builder, or from=builder; may be repeated"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `KEY=VALUE` for the build; may be repeated"},
		&cli.StringFlag{Name: "cache", Usage: "keep the build cache of the app in `DIR`, for the next build"},
		&cli.StringFlag{Name: "previous", Usage: "reuse layers of `REF`, an earlier image of the app, where they are the same; it may be missing if it is that of --output-layout; none is the default"},
		&cli.StringFlag{Name: "network", Value: "none", Usage: "let the build reach `NETWORK`: none or host"},
		&cli.StringFlag{Name: "layer-writes", Value: "warn", Usage: "`MODE`: warn reports what buildpacks write into the layers of others; fail fails the app for it; refuse lets the kernel refuse it, which only the buildpack sees; ignore does not look"},
		&cli.DurationFlag{Name: "timeout", Value: 30 * time.Minute, DefaultText: "30m", Usage: "end a build after `DURATION`, as in 90s or 15m"},
		&cli.BoolFlag{Name: "twice", Usage: "build each app again, and report what was not reused and what differs"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1, Usage: "test `N` apps at the same time"},
		&cli.StringFlag{Name: "logs", DefaultText: "the last runs in laminate's cache", Usage: "keep the whole logs of apps that do not pass in `DIR`, each in a directory of its own"},
		&cli.BoolFlag{Name: "keep", Usage: "leave the directories of each build for a look, and print where they are"},
		&cli.StringFlag{Name: "output-layout", Usage: "write the app image to the OCI layout `DIR`, or oci:DIR[:TAG]"},
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
	ref, runImage, previous location.Location
	layout                  location.Location // of --output-layout

	target  flatten.Target
	env     []config.EnvVar
	network sandbox.Network
	format  string
	each    smoke.App // what is the same for all apps
	printed int       // how many results are printed already
}

func (s *smokeRun) do(ctx context.Context) error {
	if err := errors.Join(s.read()...); err != nil {
		return wrongUse(s.c, "%w", err)
	}
	begun := time.Now()
	report := smoke.Report{Schema: smoke.ReportSchema, Builder: s.ref.String(), Started: begun.UTC().Truncate(time.Second)}
	for _, b := range s.c.StringSlice("buildpack") {
		report.Buildpacks = append(report.Buildpacks, location.Redact(b))
	}
	err := s.within(ctx, func(ctx context.Context) error {
		s.openSources()
		return s.test(ctx, &report)
	})
	if len(report.Apps) > 0 {
		report.Seconds = time.Since(begun).Seconds()
		err = errors.Join(err, standardOutput(s.print(report)))
	}
	if err != nil {
		return err
	}
	if !report.Passed() {
		return notPassed(report)
	}
	return nil
}

// notPassed is the error of apps that were tested and did not pass.
func notPassed(r smoke.Report) error {
	n := 0
	for _, a := range r.Apps {
		if a.Status != smoke.Passed {
			n++
		}
	}
	return fmt.Errorf("%d of %s did not pass", n, count(len(r.Apps), "app"))
}

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
	for _, flag := range []string{"cache", "output-layout", "previous"} {
		if len(apps) > 1 && s.c.String(flag) != "" {
			errs = append(errs, fmt.Errorf("--%s is for one app; test the apps one by one", flag))
		}
	}
	var err error
	if s.runImage, err = s.source("run-image"); err != nil {
		errs = append(errs, err)
	}
	if s.previous, err = s.source("previous"); err != nil {
		errs = append(errs, err)
	}
	if s.layout, err = s.outputLayout(); err != nil {
		errs = append(errs, err)
	}
	for _, v := range s.c.StringSlice("env") {
		name, value, has := strings.Cut(v, "=")
		if !has || !config.IsEnvName(name) || strings.Contains(value, "\x00") {
			errs = append(errs, fmt.Errorf("invalid --env %q; write KEY=VALUE", flatten.Clip(v)))
		}
		s.env = append(s.env, config.EnvVar{Name: name, Value: value})
	}
	if s.c.Duration("timeout") <= 0 {
		errs = append(errs, fmt.Errorf("invalid --timeout %s; write how long a build may take, such as 90s or 15m", s.c.Duration("timeout")))
	}
	if s.c.Int("jobs") < 1 {
		errs = append(errs, errors.New("--jobs is the number of apps at the same time, at least 1"))
	}
	switch s.c.String("network") {
	case "none":
	case "host":
		s.network = sandbox.Host
	default:
		errs = append(errs, fmt.Errorf("invalid --network %q; write none or host", flatten.Clip(s.c.String("network"))))
	}
	switch mode := s.c.String("layer-writes"); mode {
	case "ignore", "warn", "fail", "refuse":
	default:
		errs = append(errs, fmt.Errorf("invalid --layer-writes %q; write ignore, warn, fail or refuse", flatten.Clip(mode)))
	}
	s.format, err = s.session.format(smokeForms...)
	return append(errs, err)
}

// source returns the image that a flag names, or the zero value.
func (s *smokeRun) source(flag string) (location.Location, error) {
	given := s.c.String(flag)
	if given == "" || flag == "previous" && given == "none" {
		return location.Location{}, nil
	}
	at, err := location.ParseSource(given, "")
	if err != nil {
		return at, fmt.Errorf("--%s: %w", flag, err)
	}
	return at, nil
}

// test tests all apps.
func (s *smokeRun) test(ctx context.Context, report *smoke.Report) error {
	if err := s.checkPaths(); err != nil {
		return err
	}
	o := smoke.Options{Opener: s.open, Buildpacks: s.c.StringSlice("buildpack"), Cache: s.cache, WorkDir: s.workDir, Log: s.ui}
	var err error
	if o.Builder, err = s.open.Image(ctx, s.ref, s.target); err != nil {
		return err
	}
	if digest, err := o.Builder.Digest(); err == nil && o.Builder.Stored() {
		report.Digest = digest.String()
	}
	if s.runImage.Written != "" {
		if o.RunImage, err = s.open.Image(ctx, s.runImage, o.Builder.Target); err != nil {
			return advise(&smoke.RunImageError{Err: err})
		}
	}
	if s.previous.Written != "" && !s.isYetToBeWritten(s.previous) {
		if s.each.Previous, err = s.open.Image(ctx, s.previous, o.Builder.Target); err != nil {
			return fmt.Errorf("--previous: %w", err)
		}
	}
	tests, err := smoke.Open(ctx, o)
	if err != nil {
		return advise(err)
	}
	defer tests.Close()
	report.Apps, err = s.apps(ctx, tests)
	return err
}

// advise adds to an error which flag helps.
func advise(err error) error {
	if errors.Is(err, smoke.ErrNoOrder) {
		return fmt.Errorf("%w; name the buildpacks for the build with --buildpack", err)
	}
	if of := new(smoke.RunImageError); errors.As(err, &of) {
		return fmt.Errorf("%w; name another one with --run-image", err)
	}
	return err
}
