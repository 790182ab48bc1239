package cli

import (
	"errors"
	"fmt"
	"time"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/mediatype"
	"laminate/packager/sink"
)

// mostLayers is the maximum number of layers that container engines load.
const mostLayers = 125

// output is the common part of the commands that write images.
type output struct {
	session

	refs        []location.Location // the arguments before DEST
	dest        location.Location
	targets     []flatten.Target
	skipped     []flatten.Target // targets of --target for systems other than linux
	tags        []string
	labels      map[string]string
	compression layer.Compression
	mediaTypes  mediatype.Family // "" if the command line does not say
	onConflict  engine.OnConflict
	created     time.Time
	json        bool // --output json
	previous    *engine.PreviousImage

	fits   func(flatten.Target) bool // whether the destination supports a target; nil means all
	daemon []flatten.Target          // the platform of the Docker daemon, if the output goes to one
	begun  *sink.Begun               // the output, once images are being built
}

// read reads the flags, the arguments of these names, which are images, and DEST. It returns all
// errors.
func (o *output) read(images ...string) (errs []error) {
	note := func(err error) { errs = append(errs, err) }
	args := o.c.Args().Slice()
	if err := o.wrongCount(args, images); err != nil {
		note(err)
	} else {
		for i, name := range images {
			ref, err := parseRef(name, args[i])
			note(err)
			o.refs = append(o.refs, ref)
		}
		o.dest, err = location.ParseDest(args[len(images)], location.DestOptions{Publish: o.c.Bool("publish"), Format: o.c.String("format")})
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
	o.json, err = wantsJSON(o.c)
	note(err)
	o.mediaTypes, err = o.readMediaTypes()
	note(err)
	note(o.readPolicy())
	o.created, err = epoch(o.env("SOURCE_DATE_EPOCH"))
	note(err)
	o.previous, err = o.readPrevious()
	note(err)
	errs = append(errs, o.empty()...)
	errs = append(errs, checkHosts(o.list("insecure-registry"))...)
	errs = append(errs, o.readJobs()...)
	if n := o.c.Int("max-layers"); o.c.IsSet("max-layers") && (n < 1 || n > mostLayers) {
		note(fmt.Errorf("invalid --max-layers %d; write a number from 1 to %d, which is what container engines load", n, mostLayers))
	}
	return errs
}

// readMediaTypes reads --media-types, and refuses it if the destination or the compression leaves
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

// readPrevious returns the location of the image to replace, or nil.
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

// doubts warns about flags that have no effect with the destination, and about compressions that
// its readers do not support.
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

// doubtAuto warns about an automatic plan without a previous image to compare with.
func (o *output) doubtAuto(mode flatten.Mode) {
	if mode == flatten.Auto && o.previous == nil && o.c.String("previous") != "none" {
		o.ui.Warn("the plan keeps no layer of an earlier image: DEST is neither in a registry nor an OCI layout; name that image with --previous REF, or none")
	}
}
