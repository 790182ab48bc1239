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

// writeDaemon loads the image for the Docker daemon's platform into the daemon, under the
// destination's name and the tags.
func writeDaemon(ctx context.Context, dest location.Location, contents []content, o Options) ([]Written, error) {
	tags, err := o.tags(dest.Ref)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	if len(tags) == 0 {
		return nil, fmt.Errorf("output %s: missing name; images in the Docker daemon need one", dest)
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

// noDaemon returns the error for an unreachable daemon, with alternatives.
func noDaemon(ctx context.Context, tag name.Tag, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("no Docker daemon responds (%w); write to a file instead (%s.cnb), to a layout (oci:DIR), or to a registry (--publish, docker://REF)",
		err, path.Base(tag.RepositoryStr()))
}

// runnable returns the image for the daemon's platform, or a single image whatever its platform.
func runnable(contents []content, daemon v1.Platform, log progress.Log) (content, error) {
	fits := func(c content) bool {
		return (c.platform.OS == "" || c.platform.OS == daemon.OS) &&
			(c.platform.Architecture == "" || c.platform.Architecture == daemon.Architecture)
	}
	if len(contents) == 1 {
		if c := contents[0]; !fits(c) {
			log.Warn(fmt.Sprintf("The image is for %s, but the Docker daemon runs on %s.", c.platform, daemon))
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
		return content{}, fmt.Errorf("no image for the Docker daemon's platform %s; available: %s", daemon, strings.Join(others, ", "))
	}
	log.Warn(fmt.Sprintf("Loading the image for %s into the Docker daemon; skipped: %s.", contents[i].platform, strings.Join(others, ", ")))
	return contents[i], nil
}

// load loads the image into the daemon, unless it has it, and verifies the tags. It returns the
// daemon's ID for it.
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
			return v1.Hash{}, fmt.Errorf("inspecting %s after loading: %w", spelled(t), err)
		}
		if id, err = v1.NewHash(got.ID); err != nil {
			return v1.Hash{}, fmt.Errorf("image %s: %w", spelled(t), err)
		}
		// A daemon with the containerd image store identifies images by a manifest of its own;
		// compare the layers instead.
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

// stream streams the image to the daemon as a docker-archive, without the lowest layers.
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
	// The daemon will read no more.
	r.CloseWithError(io.ErrClosedPipe)
	if ours := <-wrote; ours != nil && !errors.Is(ours, io.ErrClosedPipe) {
		return ours
	}
	return err
}

// receive lets the daemon read the archive, and reads its response: errors are in the body of a
// successful response.
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
			return fmt.Errorf("loading: invalid response of the Docker daemon: %w", err)
		case message.Error != "":
			return fmt.Errorf("loading: Docker daemon: %s", registry.Shorten(message.Error))
		}
	}
}
