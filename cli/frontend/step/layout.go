package step

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxDocument is how large an index or a manifest may be.
const maxDocument = 1 << 20

// layout is an OCI layout with one image, not all of whose blobs are there.
type layout struct {
	dir        string
	index      []byte
	descriptor v1.Descriptor
	manifest   v1.Manifest
}

// openLayout reads the index and the manifest of a layout.
func openLayout(dir string) (*layout, error) {
	l := &layout{dir: dir}
	var err error
	if l.index, err = readFile(filepath.Join(dir, "index.json")); err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(l.index, &index); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("index.json names %d images instead of one", len(index.Manifests))
	}
	l.descriptor = index.Manifests[0]
	raw, err := readFile(l.blob(l.descriptor.Digest))
	if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != l.descriptor.Digest {
		return nil, fmt.Errorf("manifest %s has other content", l.descriptor.Digest)
	}
	if err := json.Unmarshal(raw, &l.manifest); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", l.descriptor.Digest, err)
	}
	return l, nil
}

// open opens a regular file. A buildpack can leave a named pipe in the cache, whose opening would not end.
func open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// readFile reads a document.
func readFile(name string) ([]byte, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxDocument>>20)
	}
	return data, err
}

// blob returns the file of a blob, which may not exist.
func (l *layout) blob(hash v1.Hash) string {
	return filepath.Join(l.dir, "blobs", filepath.Base(hash.Algorithm), filepath.Base(hash.Hex))
}

// has reports whether the layout has a blob. A layer of size 0 stands in for one of the run image.
func (l *layout) has(d v1.Descriptor) bool { return l != nil && d.Size > 0 && exists(l.blob(d.Digest)) }

// verify checks the blobs that the layout has.
func (l *layout) verify() error {
	var errs []error
	for _, d := range append([]v1.Descriptor{l.manifest.Config}, l.manifest.Layers...) {
		if l.has(d) {
			errs = append(errs, copyBlob(io.Discard, l.blob(d.Digest), d))
		}
	}
	return errors.Join(errs...)
}

// takeMissing copies blobs from another layout that this one lacks.
func (l *layout) takeMissing(from *layout) error {
	for _, d := range l.manifest.Layers {
		if !l.has(d) && from.has(d) {
			if err := writeBlob(l.blob(d.Digest), from.blob(d.Digest), d); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyTo writes the layout anew. Blobs that the layout beside, which must be of the same file system, has
// as well are linked instead of copied.
func (l *layout) copyTo(dir string, beside *layout) error {
	next := &layout{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	for _, d := range append([]v1.Descriptor{l.descriptor, l.manifest.Config}, l.manifest.Layers...) {
		if next.has(d) || !l.has(d) {
			continue
		}
		if beside.has(d) && os.Link(beside.blob(d.Digest), next.blob(d.Digest)) == nil {
			continue
		}
		if err := writeBlob(next.blob(d.Digest), l.blob(d.Digest), d); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644),
		os.WriteFile(filepath.Join(dir, "index.json"), l.index, 0o644),
	)
}

// writeBlob copies a blob to a new file, which is whole or absent.
func writeBlob(to, from string, d v1.Descriptor) error {
	unfinished := to + ".part"
	f, err := os.Create(unfinished)
	if err != nil {
		return err
	}
	err = errors.Join(copyBlob(f, from, d), f.Close())
	if err == nil {
		err = os.Rename(unfinished, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return nil
}

// copyBlob copies a blob, and fails if it is not the one that the descriptor describes.
func copyBlob(to io.Writer, name string, d v1.Descriptor) error {
	f, err := open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, n, err := v1.SHA256(io.TeeReader(io.LimitReader(f, d.Size+1), to))
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if got != d.Digest || n != d.Size {
		return fmt.Errorf("blob %s has other content", d.Digest)
	}
	return nil
}
