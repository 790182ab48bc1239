package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/urfave/cli/v2"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/mediatype"
	"laminate/packager/sink"
	"laminate/packager/source"
)

// mostLayers is how many layers container engines load.
const mostLayers = 125

// output is what the commands that write images have in common.
type output struct {
	*run
	c *cli.Context

	dest        location.Location
	targets     []flatten.Target
	skipped     []flatten.Target // those of --target that are for other systems than linux
	tags        []string
	labels      map[string]string
	compression layer.Compression
	mediaTypes  mediatype.Family // "" where the command line does not say
	onConflict  engine.OnConflict
	created     time.Time
	policy      source.PullPolicy
	previous    *engine.PreviousImage

	workDir string
	ui      *ui
	cache   *cache.Cache // nil for none
	open    *source.Opener
	fits    func(flatten.Target) bool // which targets the destination takes; nil for all
	daemon  []flatten.Target          // what the Docker daemon runs, where the output goes to one
}

// outputFlags are those of every command that writes images.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "target", Aliases: []string{"t"}, Usage: "make an image for `OS/ARCH[/VARIANT][:DISTRO@VERSION]`; may be repeated"},
		&cli.BoolFlag{Name: "publish", Usage: "write to a registry, where DEST is a plain REF"},
		&cli.StringSliceFlag{Name: "tag", Usage: "write the image to `REF` as well; may be repeated"},
		&cli.BoolFlag{Name: "append-image-name-suffix", Usage: "in a registry, tag the image of each of several targets as well: DEST's tag with -os-arch[-variant] behind it"},
		&cli.StringFlag{Name: "digest-file", Usage: "write the digest of the output to `FILE`, once the output is there"},
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "add the label `KEY=VALUE` to the image; may be repeated"},
		&cli.StringFlag{Name: "compression", Value: "gzip", Usage: "compress layers with `NAME`, gzip or zstd"},
		&cli.StringFlag{Name: "media-types", Usage: "write manifests with `TYPES`, oci or docker; without it oci for packages in a registry, for zstd, in OCI layouts, and over an OCI build image, and docker elsewhere"},
		&cli.StringFlag{Name: "on-conflict", Usage: "where sources have different contents of one buildpack, `USE` that of the first or the last of them, as pack does, and warn; without it they are an error"},
		&cli.StringFlag{Name: "pull-policy", DefaultText: "always for what TOML files list, if-not-present for docker-daemon:REF", Usage: "let the Docker daemon pull images `WHEN` they are read from it: always, if-not-present or never"},
		&cli.StringSliceFlag{Name: "insecure-registry", Usage: "speak to the registry `HOST` also without TLS; may be repeated"},
		&cli.IntFlag{Name: "max-layers", Usage: "fail where the image would have more layers than `N`; with auto, plan for so many"},
		&cli.StringFlag{Name: "previous", Usage: "do not build the layers again that the image `REF` has, by default what a registry or OCI layout has at DEST; none for none"},
		&cli.BoolFlag{Name: "no-cache", Usage: "neither use nor fill the cache; see: laminate cache --help"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the plan, and write nothing"},
	}
}

// read reads the flags and DEST, and tells of all that is wrong with them.
func (o *output) read() (errs []error) {
	note := func(err error) { errs = append(errs, err) }
	args := o.c.Args().Slice()
	if err := o.wrongCount(args); err != nil {
		note(err)
	} else {
		o.dest, err = location.ParseDest(args[0], location.DestOptions{Publish: o.c.Bool("publish"), Format: o.c.String("format")})
		if err == nil {
			err = location.CheckDest(o.dest)
		}
		note(err)
	}
	var err error
	o.targets, o.skipped, err = parseTargets(o.list("target"))
	note(err)
	o.tags, err = parseTags(o.list("tag"))
	note(err)
	o.labels, err = parseLabels(o.c.StringSlice("label"))
	note(err)
	o.compression, err = layer.ParseCompression(o.c.String("compression"))
	note(err)
	if o.c.IsSet("on-conflict") {
		if o.onConflict, err = engine.ParseOnConflict(o.c.String("on-conflict")); err != nil {
			note(fmt.Errorf("--on-conflict: %w", err))
		}
	}
	o.mediaTypes, err = o.readMediaTypes()
	note(err)
	note(o.readPolicy())
	o.created, err = epoch(o.env("SOURCE_DATE_EPOCH"))
	note(err)
	o.previous, err = o.readPrevious()
	note(err)
	errs = append(errs, o.empty()...)
	errs = append(errs, checkHosts(o.list("insecure-registry"))...)
	if n := o.c.Int("max-layers"); o.c.IsSet("max-layers") && (n < 1 || n > mostLayers) {
		note(fmt.Errorf("invalid --max-layers %d; write a number from 1 to %d, which is what container engines load", n, mostLayers))
	}
	return errs
}

// readMediaTypes reads --media-types, and refuses it where the destination or the compression leaves
// no choice.
func (o *output) readMediaTypes() (mediatype.Family, error) {
	if !o.c.IsSet("media-types") {
		return "", nil
	}
	family, err := mediatype.Parse(o.c.String("media-types"))
	switch {
	case err != nil:
		return "", fmt.Errorf("--media-types: %w", err)
	case o.dest.Kind == location.Daemon, o.dest.Kind == location.DockerArchive:
		return "", fmt.Errorf("--media-types has no effect on %s: images in the Docker daemon and in a docker-archive have no manifest; leave it out", o.dest)
	case family == mediatype.OCI:
	case o.dest.Kind == location.OCILayout, o.dest.Kind == location.OCIArchive:
		return "", fmt.Errorf("--media-types docker is unsupported for %s: an OCI layout has OCI media types; leave it out, or write to a registry or a .cnb file", o.dest)
	case o.compression == layer.Zstd:
		return "", errors.New("--media-types docker is unsupported with --compression zstd: Docker has no media type for it; leave one of the two out")
	}
	return family, nil
}

// readPrevious finds out where the image is that this one replaces; nil is nowhere.
func (o *output) readPrevious() (*engine.PreviousImage, error) {
	switch previous := o.c.String("previous"); {
	case previous == "none":
		return nil, nil
	case previous != "":
		loc, err := location.ParseSource(previous, "")
		if err != nil {
			return nil, fmt.Errorf("--previous: %w", err)
		}
		return &engine.PreviousImage{Location: loc, Named: true}, nil
	}
	at := o.dest
	if at.Kind == location.Registry || at.Kind == location.OCILayout {
		return &engine.PreviousImage{Location: at}, nil
	}
	return nil, nil
}

// empty reports flags whose value is empty: mostly a variable that is not set
// where somebody thinks it is.
func (o *output) empty() (errs []error) {
	for _, f := range o.c.Command.Flags {
		name := f.Names()[0]
		if !o.c.IsSet(name) {
			continue
		}
		switch f.(type) {
		case *cli.StringFlag:
			if o.c.String(name) == "" {
				errs = append(errs, fmt.Errorf("--%s has an empty value", name))
			}
		case *cli.StringSliceFlag:
			for _, v := range o.c.StringSlice(name) {
				if len(split(v)) == 0 {
					errs = append(errs, fmt.Errorf("--%s has an empty value", name))
				}
			}
		}
	}
	return errs
}

// doubts warns of flags that the destination leaves without effect, and of compressions that its
// readers do not know.
func (o *output) doubts() {
	if len(o.skipped) > 0 {
		o.ui.Warn("--target " + joinTargets(o.skipped) + " skipped; laminate makes images for linux only")
	}
	if o.c.Bool("append-image-name-suffix") && o.dest.Kind != location.Registry {
		o.ui.Warn("--append-image-name-suffix has no effect: DEST is not in a registry")
	}
	switch {
	case o.compression != layer.Zstd:
	case o.dest.Kind == location.Daemon || o.dest.Kind == location.DockerArchive:
		o.ui.Warn("the Docker daemon's form has no compression: --compression zstd has no effect there")
	case o.dest.Kind == location.Path:
		o.ui.Warn("pack does not read buildpacks out of a .cnb file whose layers are compressed with zstd")
	}
}

// doubtAuto warns of an automatic plan that cannot know what is there already.
func (o *output) doubtAuto(mode flatten.Mode) {
	if mode == flatten.Auto && o.previous == nil && o.c.String("previous") != "none" {
		o.ui.Warn("the plan keeps no layer of an earlier image: DEST is neither in a registry nor an OCI layout; name that image with --previous REF, or none")
	}
}

// work makes the work directory, does the work, and cleans up: also after
// earlier runs that were killed.
func (o *output) work(ctx context.Context, do func(context.Context) error) (err error) {
	work, err := o.makeWorkDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(inTempDir(o.tempDir(), err), work.Remove()) }()
	o.ui = o.begin(o.c)
	defer o.finish(ctx)
	o.doubts()
	if err := o.clearDigests(); err != nil {
		return err
	}
	o.cache = o.openCache()
	o.open = &source.Opener{
		Keychain: o.openKeychain(o.ui.Warn), Insecure: o.list("insecure-registry"),
		Daemon: o.dockerDaemon(), PullPolicy: o.policy, FromDaemon: o.fromDaemon(), DryRun: o.c.Bool("dry-run"),
		Cache: o.cache, WorkDir: o.workDir, Log: o.ui, LeaveOut: o.isOutput(),
	}
	if o.dest.Kind == location.Daemon {
		daemon, err := sink.DaemonTarget(ctx, o.dest, o.sink())
		if err != nil {
			return err
		}
		o.daemon = []flatten.Target{daemon}
		o.fits = func(t flatten.Target) bool { return t.Arch == "" || t.Arch == daemon.Arch && t.OS == daemon.OS }
	}
	return do(ctx)
}

// options returns the options that all recipes have, but for targets and media
// types.
func (o *output) options(w flatten.Grouping) engine.Options {
	return engine.Options{
		Fits: o.fits, Grouping: w, MaxLayers: o.c.Int("max-layers"), OnConflict: o.onConflict,
		Labels: o.labels, Created: o.created, Compression: o.compression,
		Previous: o.previous, Cache: o.cache, WorkDir: o.workDir, Log: o.ui,
	}
}

// build builds the images and writes them. Plan prints what was planned, for the
// report of a bug.
func build[J interface {
	Build(context.Context) (*engine.Image, error)
}](ctx context.Context, o *output, jobs []J, plan func(io.Writer) error) error {
	var images []sink.Image
	for _, job := range jobs {
		img, err := job.Build(ctx)
		if engine.IsBug(err) {
			return &bugError{err: err, plan: plan}
		}
		if err != nil {
			return err
		}
		images = append(images, sink.Image{Image: img.Image, Target: img.Target})
	}
	return o.write(ctx, images)
}

// wanted gives the targets of the command line, if neither it nor the file
// names any, that of the Docker daemon.
func (o *output) wanted(inFile []flatten.Target) []flatten.Target {
	if len(o.targets)+len(inFile) == 0 {
		return o.daemon
	}
	return o.targets
}

// check looks at the destination before the work begins.
func (o *output) check(targets []flatten.Target) error {
	return sink.Check(o.dest, targets, o.sink())
}

func (o *output) sink() sink.Options {
	return sink.Options{Keychain: o.keychain, Daemon: o.dockerDaemon(), Insecure: o.list("insecure-registry"), Tags: o.tags, Suffix: o.c.Bool("append-image-name-suffix"), Log: o.ui}
}

// write writes the images, and prints what was written.
func (o *output) write(ctx context.Context, images []sink.Image) error {
	made := make([]v1.Image, len(images))
	for i, img := range images {
		made[i] = img.Image
	}
	if err := o.ui.made(made); err != nil {
		return err
	}
	written, err := sink.Write(ctx, o.dest, images, o.sink())
	o.finish(ctx)
	for _, w := range written {
		if _, err := fmt.Fprintf(o.stdout, "%s\t%s\n", w.Digest, w.Destination); err != nil {
			return &unprintedError{err: err, written: written}
		}
	}
	if err != nil {
		return err
	}
	if err := o.writeDigests(written); err != nil {
		return err
	}
	o.ui.sum()
	return nil
}

// unprintedError reports outputs that are there, although standard output took
// no line about them.
type unprintedError struct {
	err     error
	written []sink.Written
}

func (e *unprintedError) Error() string {
	var all []string
	for _, w := range e.written {
		all = append(all, fmt.Sprintf("%s (%s)", w.Destination, w.Digest))
	}
	return fmt.Sprintf("standard output: %v; the output is complete nevertheless: %s", e.err, strings.Join(all, ", "))
}

func (e *unprintedError) Unwrap() error { return e.err }

// list gives the values of a flag that may be repeated, or hold several
// values between commas.
func (o *output) list(flag string) []string {
	var all []string
	for _, v := range o.c.StringSlice(flag) {
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
