package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/localfile"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// blobs are the files of an OCI layout: in a directory, or in a tar.
type blobs interface {
	// open opens a file by its path within the layout.
	open(name string) (io.ReadCloser, int64, error)
}

// dirBlobs is a layout in a directory. Links out of it are not followed.
type dirBlobs string

func (d dirBlobs) open(name string) (io.ReadCloser, int64, error) {
	f, err := localfile.OpenIn(string(d), filepath.FromSlash(name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// isLayout reports whether a directory is an OCI layout.
func isLayout(dir string) bool {
	for _, name := range []string{"oci-layout", "index.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// layout reads an OCI layout. It verifies digest and size of every blob.
type layout struct{ blobs }

// openLayout opens an image of an OCI layout: that of a tag, or the only one.
func (i *opening) openLayout(b blobs, tag string, target flatten.Target) error {
	l := layout{b}
	if dir, ok := b.(dirBlobs); ok {
		i.LayoutDir = string(dir)
	}
	index, err := l.index(i.ctx)
	holds := image.ManyNames
	if err == nil && tag != "" {
		index, err = image.Tagged(index, tag)
		holds = image.OneName
	}
	if err == nil {
		if len(index.Manifests) == 1 && index.Manifests[0].MediaType.IsIndex() {
			i.index = index.Manifests[0].Digest
		}
		err = i.choose(l, index, holds, target)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", i.Name, err)
	}
	i.Stored = true
	return nil
}

// index reads oci-layout and index.json.
func (l layout) index(ctx context.Context) (*v1.IndexManifest, error) {
	data, err := l.file(ctx, "oci-layout")
	if err != nil {
		return nil, fmt.Errorf("not an OCI layout: %w", err)
	}
	var version struct {
		V string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("oci-layout: %w", err)
	}
	if !strings.HasPrefix(version.V, "1.") {
		return nil, fmt.Errorf("oci-layout: unsupported version %q", version.V)
	}
	if data, err = l.file(ctx, "index.json"); err != nil {
		return nil, err
	}
	index, err := registry.ParseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	return index, nil
}

func (l layout) file(ctx context.Context, name string) ([]byte, error) {
	r, _, err := l.open(name)
	if err != nil {
		return nil, err
	}
	data, err := readAll(stream.WithContext(ctx, r))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// blob opens a blob, which is verified when read to its end.
func (l layout) blob(d v1.Descriptor) (io.ReadCloser, error) {
	if d.Digest.Algorithm != "sha256" {
		return nil, fmt.Errorf("blob %s: only sha256 is supported", d.Digest)
	}
	r, size, err := l.open("blobs/sha256/" + d.Digest.Hex)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if size != d.Size {
		return nil, errors.Join(fmt.Errorf("blob %s has %d bytes, expected %d", d.Digest, size, d.Size), r.Close())
	}
	return stream.Verify(r, d.Digest), nil
}

// document reads a blob into memory.
func (l layout) document(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Size > documentLimit {
		return nil, fmt.Errorf("blob %s has %d bytes, more than the limit of %d", d.Digest, d.Size, documentLimit)
	}
	r, err := l.blob(d)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(stream.WithContext(ctx, r))
	return data, errors.Join(err, r.Close())
}

// subIndex implements catalog.
func (l layout) SubIndex(ctx context.Context, d v1.Descriptor) (*v1.IndexManifest, error) {
	data, err := l.document(ctx, d)
	if err != nil {
		return nil, err
	}
	return registry.ParseIndex(data)
}

// image implements catalog.
func (l layout) Image(ctx context.Context, d v1.Descriptor) (v1.Image, error) {
	manifest, err := l.document(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := registry.ParseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	config, err := l.document(ctx, m.Config)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return partial.CompressedToImage(&layoutImage{layout: l, descriptor: d, manifest: manifest, parsed: m, config: config})
}

// layoutImage implements partial.CompressedImageCore.
type layoutImage struct {
	layout     layout
	descriptor v1.Descriptor
	manifest   []byte
	parsed     *v1.Manifest
	config     []byte
}

func (i *layoutImage) RawManifest() ([]byte, error)   { return i.manifest, nil }
func (i *layoutImage) RawConfigFile() ([]byte, error) { return i.config, nil }

func (i *layoutImage) MediaType() (types.MediaType, error) {
	if i.parsed.MediaType != "" {
		return i.parsed.MediaType, nil
	}
	return i.descriptor.MediaType, nil
}

func (i *layoutImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range append(i.parsed.Layers, i.parsed.Config) {
		if d.Digest == h {
			return &layoutLayer{layout: i.layout, descriptor: d}, nil
		}
	}
	return nil, fmt.Errorf("blob %s: not in the manifest", h)
}

// layoutLayer implements partial.CompressedLayer.
type layoutLayer struct {
	layout     layout
	descriptor v1.Descriptor
}

func (l *layoutLayer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l *layoutLayer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l *layoutLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }
func (l *layoutLayer) Compressed() (io.ReadCloser, error)  { return l.layout.blob(l.descriptor) }
func (l *layoutLayer) Descriptor() (*v1.Descriptor, error) { return &l.descriptor, nil }
