package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
)

// work is within for a run that writes images: it prepares the destination, and begins to write.
func (o *output) work(ctx context.Context, do func(context.Context) error) error {
	return o.within(ctx, func(ctx context.Context) error {
		o.doubts()
		if err := o.clearDigests(); err != nil {
			return err
		}
		o.openSources()
		o.open.FromDaemon, o.open.LeaveOut = o.fromDaemon(), o.isOutput()
		if o.dest.Kind == location.Daemon {
			daemon, err := sink.DaemonTarget(ctx, o.dest, o.sink())
			if err != nil {
				return err
			}
			o.daemon = []flatten.Target{daemon}
			o.fits = func(t flatten.Target) bool { return t.Arch == "" || t.Arch == daemon.Arch && t.OS == daemon.OS }
		}
		if o.c.Bool("dry-run") {
			return do(ctx)
		}
		begun, ctx, err := sink.Begin(ctx, o.dest, o.sink())
		if err != nil {
			return err
		}
		defer begun.End()
		o.begun = begun
		return begun.Err(do(ctx))
	})
}

// options returns the common options of all recipes, except for targets and media types.
func (o *output) options(w flatten.Grouping) engine.Options {
	return engine.Options{
		Fits: o.fits, Grouping: w, MaxLayers: o.c.Int("max-layers"), OnConflict: o.onConflict,
		Labels: o.labels, Created: o.created, Compression: o.compression,
		Previous: o.previous, Cache: o.cache, WorkDir: o.workDir, Log: o.ui,
		Ready: func(l v1.Layer) { o.begun.Ready(l) },
	}
}

// build builds the images and writes them, both at the same time as far as possible. Plan prints the
// plan, for a bug report.
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

// wanted returns the targets of the command line or, if neither it nor the file names any, that of
// the Docker daemon.
func (o *output) wanted(inFile []flatten.Target) []flatten.Target {
	if len(o.targets)+len(inFile) == 0 {
		return o.daemon
	}
	return o.targets
}

// check checks the destination before the work begins.
func (o *output) check(targets []flatten.Target) error {
	return sink.Check(o.dest, targets, o.sink())
}

func (o *output) sink() sink.Options {
	previous := ""
	if o.previous != nil && o.previous.Kind == location.Registry {
		previous = o.previous.Ref
	}
	return sink.Options{Previous: previous, Keychain: o.keychain, Pool: o.pool, Jobs: o.jobs, Daemon: o.dockerDaemon(), Insecure: o.list("insecure-registry"), Tags: o.tags, Suffix: o.c.Bool("append-image-name-suffix"), Log: o.ui}
}

// write writes the images, and prints the outputs.
func (o *output) write(ctx context.Context, images []sink.Image) error {
	made := make([]v1.Image, len(images))
	for i, img := range images {
		made[i] = img.Image
	}
	if err := o.ui.made(made); err != nil {
		return err
	}
	written, err := o.begun.Write(ctx, images)
	o.finish(ctx)
	if unprinted := o.print(written); unprinted != nil {
		return &unprintedError{err: unprinted, written: written}
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

// print prints the outputs.
func (o *output) print(written []sink.Written) error {
	if o.json && len(written) > 0 {
		return printResultJSON(o.stdout, written, o.ui.totals())
	}
	for _, w := range written {
		if _, err := fmt.Fprintf(o.stdout, "%s\t%s\n", w.Digest, w.Destination); err != nil {
			return err
		}
	}
	return nil
}

// unprintedError reports that outputs were written, but could not be printed to standard output.
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
