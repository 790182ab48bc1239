package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// writeDaemon loads the image that the Docker daemon can run into it, under
// the destination's name and the tags.
func writeDaemon(ctx context.Context, dest location.Location, contents []content, o Options) ([]Written, error) {
	tags, err := o.tags(dest.Ref)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	if len(tags) == 0 {
		return nil, fmt.Errorf("output %s: an image in the Docker daemon needs a name", dest)
	}
	api, err := o.Daemon.Client()
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	defer api.Close()
	version, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return nil, noDaemon(ctx, tags[0], err)
	}
	c, err := runnable(contents, v1.Platform{OS: version.Os, Architecture: version.Arch}, o.Log)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	e := engine{api: api, byChain: findsByChain(ctx, api, version.Components)}
	id, err := e.load(ctx, c, tags, o.Log)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	var written []Written
	for _, t := range tags {
		written = append(written, Written{Digest: id, Destination: "docker-daemon:" + spelled(t), Images: []WrittenImage{c.withoutManifest()}})
	}
	return written, nil
}

// noDaemon says what else can be done.
func noDaemon(ctx context.Context, tag name.Tag, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("no Docker daemon answers (%w); write to a file instead (%s.cnb), to a layout (oci:DIR), or to a registry (--publish, docker://REF)",
		err, path.Base(tag.RepositoryStr()))
}

// runnable picks the image for the daemon's platform. A single image is taken
// as it is: it was asked for by name.
func runnable(contents []content, daemon v1.Platform, log progress.Log) (content, error) {
	fits := func(c content) bool {
		return (c.platform.OS == "" || c.platform.OS == daemon.OS) &&
			(c.platform.Architecture == "" || c.platform.Architecture == daemon.Architecture)
	}
	if len(contents) == 1 {
		if c := contents[0]; !fits(c) {
			log.Warn(fmt.Sprintf("The image is for %s, and the Docker daemon runs on %s.", c.platform, daemon))
		}
		return contents[0], nil
	}
	i := slices.IndexFunc(contents, fits)
	var others []string
	for j, c := range contents {
		if j != i {
			others = append(others, c.platform.String())
		}
	}
	if i < 0 {
		return content{}, fmt.Errorf("the Docker daemon runs on %s, and there are images for %s", daemon, strings.Join(others, ", "))
	}
	log.Warn(fmt.Sprintf("The Docker daemon gets the image for %s; it takes one only. Left out: %s.", contents[i].platform, strings.Join(others, ", ")))
	return contents[i], nil
}

// load brings the image into the daemon, unless it is there, and looks
// whether the tags name it. It gives the ID that the daemon has for it.
func (e engine) load(ctx context.Context, c content, tags []name.Tag, log progress.Log) (v1.Hash, error) {
	api := e.api
	if _, err := api.ImageInspect(ctx, c.config.digest.String()); err == nil {
		for _, b := range unique(c.layers) {
			log.Note(progress.Reused, b.subject(), b.size)
		}
		for _, t := range tags {
			if _, err := api.ImageTag(ctx, client.ImageTagOptions{Source: c.config.digest.String(), Target: spelled(t)}); err != nil {
				return v1.Hash{}, fmt.Errorf("tag %s: %w", spelled(t), err)
			}
		}
	} else if err := e.send(ctx, c, tags, log); err != nil {
		return v1.Hash{}, err
	}
	var id v1.Hash
	for _, t := range tags {
		got, err := api.ImageInspect(ctx, spelled(t))
		if err != nil {
			return v1.Hash{}, fmt.Errorf("looking at %s after it was loaded: %w", spelled(t), err)
		}
		if id, err = v1.NewHash(got.ID); err != nil {
			return v1.Hash{}, fmt.Errorf("image %s: %w", spelled(t), err)
		}
		// A daemon that keeps its images in containerd identifies them by a
		// manifest of its own. Then the layers have to do.
		if id != c.config.digest && (got.Descriptor == nil || !slices.Equal(got.RootFS.Layers, texts(c.diffIDs))) {
			return v1.Hash{}, fmt.Errorf("the Docker daemon has %s under %s, not %s", id, spelled(t), c.config.digest)
		}
	}
	return id, nil
}

func texts(hashes []v1.Hash) []string {
	all := make([]string, len(hashes))
	for i, h := range hashes {
		all[i] = h.String()
	}
	return all
}

// stream sends the image as a docker-archive that never lies anywhere, without
// the lowest layers, as many as are left out.
func (e engine) stream(ctx context.Context, c content, tags []name.Tag, without int, log progress.Log) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := writeDockerArchive(ctx, w, c, tags, without, log)
		w.CloseWithError(err)
		wrote <- err
	}()
	err := receive(ctx, e.api, r)
	// Whatever the daemon has not read by now it will not read.
	r.CloseWithError(io.ErrClosedPipe)
	if ours := <-wrote; ours != nil && !errors.Is(ours, io.ErrClosedPipe) {
		return ours
	}
	return err
}

// receive lets the daemon read the archive, and reads what it says to it: its
// errors come in the body of an answer that is otherwise a good one.
func receive(ctx context.Context, api *client.Client, archive io.Reader) (err error) {
	said, err := api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	defer func() { err = errors.Join(err, said.Close()) }()
	decoder := json.NewDecoder(said)
	for {
		var message struct {
			Error string `json:"error"`
		}
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("loading: what the Docker daemon answers: %w", err)
		case message.Error != "":
			return fmt.Errorf("loading: the Docker daemon says: %s", registry.Shorten(message.Error))
		}
	}
}
