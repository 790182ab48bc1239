package sink

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// epoch is the time of every entry, as in layers.
var epoch = time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)

// layoutFile marks a directory as an OCI layout; layoutMark is its content (OCI image layout
// specification).
const (
	layoutFile = "oci-layout"
	layoutMark = `{"imageLayoutVersion":"1.0.0"}`
)

// writeFiles writes one archive per image. It completes all before it moves the first into place.
func writeFiles(ctx context.Context, dest location.Location, contents []content, o Options) (written []Written, err error) {
	tags, err := archiveTags(dest, o)
	if err != nil {
		return nil, err
	}
	targets := make([]flatten.Target, len(contents))
	for i, c := range contents {
		targets[i] = c.target
	}
	names, err := fileNames(dest.Path, targets)
	if err != nil {
		return nil, err
	}
	if dest.Kind == location.OCIArchive {
		if contents, err = allOCI(contents); err != nil {
			return nil, err
		}
	}
	var files []*newFile
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.discard())
		}
		if err != nil {
			written = nil
		}
	}()
	for i, c := range contents {
		f, err := createFile(names[i])
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		w := Written{Destination: spelledFile(dest, names[i])}
		if dest.Kind == location.DockerArchive {
			w.Images = []WrittenImage{c.withoutManifest()}
			w.Digest, err = c.config.digest, writeDockerArchive(ctx, f, c, tags, 0, o.Log)
		} else {
			w.MediaType, w.Images = c.manifest.mediaType, []WrittenImage{c.written()}
			w.Digest, err = c.manifest.digest, writeLayoutArchive(ctx, f, c, dest.Ref, o.Log)
		}
		if err != nil {
			return nil, err
		}
		if err := f.finish(); err != nil {
			return nil, err
		}
		written = append(written, w)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := f.place(); err != nil {
			return nil, err
		}
	}
	return written, nil
}

// archiveTags are the RepoTags of a docker-archive; the other archives have none.
func archiveTags(dest location.Location, o Options) ([]name.Tag, error) {
	if dest.Kind != location.DockerArchive {
		return nil, nil
	}
	tags, err := o.tags(dest.Ref)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest, err)
	}
	return tags, nil
}

func spelledFile(dest location.Location, file string) string {
	s := file
	switch dest.Kind {
	case location.OCIArchive:
		s = "oci-archive:" + file
	case location.DockerArchive:
		s = "docker-archive:" + file
	}
	if dest.Ref != "" {
		s += ":" + dest.Ref
	}
	return s
}

// writeLayoutArchive writes the image as a tar archive of an OCI layout.
func writeLayoutArchive(ctx context.Context, w io.Writer, c content, tag string, log progress.Log) error {
	d := c.manifest.descriptor()
	d.Platform = platformOf(c)
	index, err := encode(layoutIndex(d, tag), types.OCIImageIndex)
	if err != nil {
		return err
	}
	a := archive{ctx: ctx, tar: tar.NewWriter(w), log: log}
	a.file(layoutFile, []byte(layoutMark))
	a.file("index.json", index.raw)
	a.dir("blobs/")
	a.dir("blobs/sha256/")
	for _, b := range sorted(c.blobs()) {
		a.blob("blobs/sha256/"+b.digest.Hex, b)
	}
	return a.close()
}

// writeDockerArchive writes the image in the format of "docker save", with its layers compressed as
// they are. Layers in zstd are written as plain tar: older Docker engines cannot load zstd, and the
// image ID does not change. The lowest without layers are listed but not included.
func writeDockerArchive(ctx context.Context, w io.Writer, c content, tags []name.Tag, without int, log progress.Log) error {
	entry := tarball.Descriptor{Config: c.config.digest.String()}
	for _, t := range tags {
		entry.RepoTags = append(entry.RepoTags, spelled(t))
	}
	a := archive{ctx: ctx, tar: tar.NewWriter(w), log: log}
	a.blob(entry.Config, c.config)
	for _, b := range c.layers[:without] {
		log.Note(progress.Reused, b.subject(), b.size)
		entry.Layers = append(entry.Layers, b.digest.Hex+".tar")
	}
	for i, b := range c.layers[without:] {
		b, file, err := dockerLayer(ctx, b, c.diffIDs[without+i])
		if err != nil {
			return err
		}
		if !slices.Contains(entry.Layers[without:], file) {
			a.blob(file, b)
		}
		entry.Layers = append(entry.Layers, file)
	}
	manifest, err := json.Marshal(tarball.Manifest{entry})
	if err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	a.file("manifest.json", manifest)
	return a.close()
}

// dockerLayer returns the layer for a docker-archive, and its file name. It reads a zstd layer once
// to find its uncompressed size.
func dockerLayer(ctx context.Context, b blob, diffID v1.Hash) (blob, string, error) {
	mt, err := b.layer.MediaType()
	switch {
	case err != nil:
		return b, "", fmt.Errorf("%s: media type: %w", b, err)
	case strings.HasSuffix(string(mt), "gzip"):
		return b, b.digest.Hex + ".tar.gz", nil
	case !strings.HasSuffix(string(mt), "zstd"):
		return b, b.digest.Hex + ".tar", nil
	}
	plain := blob{what: "layer", digest: diffID, open: b.layer.Uncompressed, layer: b.layer}
	plain.size, err = length(ctx, plain)
	return plain, diffID.Hex + ".tar", err
}

func length(ctx context.Context, b blob) (int64, error) {
	r, err := b.open()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", b, err)
	}
	n, err := io.Copy(io.Discard, stream.WithContext(ctx, r))
	if err := errors.Join(err, r.Close()); err != nil {
		return 0, fmt.Errorf("%s: %w", b, err)
	}
	return n, nil
}

// An archive writes a reproducible tar archive. After an error its methods do nothing; close
// returns the error.
type archive struct {
	ctx context.Context
	tar *tar.Writer
	log progress.Log
	err error
}

func (a *archive) header(h tar.Header) bool {
	if a.err != nil {
		return false
	}
	h.ModTime = epoch
	a.err = a.tar.WriteHeader(&h)
	return a.err == nil
}

func (a *archive) dir(name string) {
	a.header(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755})
}

func (a *archive) file(name string, content []byte) {
	if a.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}) {
		_, a.err = io.Copy(a.tar, bytes.NewReader(content))
	}
}

func (a *archive) blob(name string, b blob) {
	if a.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: b.size}) {
		a.err = b.writeTo(a.ctx, a.tar, a.log)
	}
}

func (a *archive) close() error {
	if a.err != nil {
		return a.err
	}
	return a.tar.Close()
}
