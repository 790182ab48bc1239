package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/packager/localfile"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// writeLayout writes the image, or the index over several, into an OCI layout. A new layout is
// written beside its destination and renamed. In an existing directory, the file oci-layout is
// written first, then the blobs, and index.json is replaced at the end, so that readers see the old
// or the new state, and the next run can reuse what a killed run has written. Unreferenced blobs
// are not removed.
func writeLayout(ctx context.Context, dest location.Location, contents []content, o Options) (written []Written, err error) {
	if contents, err = allOCI(contents); err != nil {
		return nil, err
	}
	root, blobs, err := rootOf(contents)
	if err != nil {
		return nil, err
	}
	l, err := openLayout(ctx, dest.Path, o.Log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close(err != nil)) }()
	if err := l.writeBlobs(ctx, blobs, min(o.Jobs, layoutJobs)); err != nil {
		return nil, err
	}
	if err := l.publish(ctx, root, dest.Ref); err != nil {
		return nil, err
	}
	destination := "oci:" + dest.Path
	if dest.Ref != "" {
		destination += ":" + dest.Ref
	}
	w := Written{Digest: root.Digest, Destination: destination, MediaType: root.MediaType}
	for _, c := range contents {
		w.Images = append(w.Images, c.written())
	}
	return []Written{w}, nil
}

// rootOf returns the descriptor for index.json, and all blobs that it references.
func rootOf(contents []content) (v1.Descriptor, []blob, error) {
	var blobs []blob
	for _, c := range contents {
		blobs = append(blobs, c.blobs()...)
	}
	if len(contents) == 1 {
		d := contents[0].manifest.descriptor()
		d.Platform = platformOf(contents[0])
		return d, blobs, nil
	}
	index, err := indexOf(contents)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	return index.descriptor(), unique(append(blobs, index.blob())), nil
}

// readIndex reads a layout's index.json; a layout without one is empty.
func readIndex(dir string) (v1.IndexManifest, error) {
	file := filepath.Join(dir, "index.json")
	raw, err := localfile.Read(file, registry.DocumentLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}, nil
	}
	var index v1.IndexManifest
	if err == nil {
		err = registry.CheckDocument(raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, &index)
	}
	if err != nil {
		return index, fmt.Errorf("output %s: %w", file, localfile.Reason(err))
	}
	return index, nil
}

// writeBlob writes a blob, unless a valid one exists.
func (l *layoutDir) writeBlob(ctx context.Context, b blob) (err error) {
	path := filepath.Join(l.dir, "blobs", "sha256", b.digest.Hex)
	there := blob{what: b.what, digest: b.digest, size: b.size, open: func() (io.ReadCloser, error) { return os.Open(path) }}
	info, statErr := os.Lstat(path)
	if statErr == nil && info.Mode().IsRegular() && there.check(ctx) == nil {
		if b.layer != nil {
			l.log.Note(progress.Reused, b.subject(), b.size)
		}
		return nil
	}
	f, err := l.linkOrWrite(ctx, b, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.discard()) }()
	if errors.Is(statErr, fs.ErrNotExist) {
		l.mu.Lock()
		l.wrote = append(l.wrote, path)
		l.mu.Unlock()
	}
	return f.place()
}

// publish makes the written blobs visible.
func (l *layoutDir) publish(ctx context.Context, root v1.Descriptor, tag string) error {
	index, err := readIndex(l.dir)
	if err != nil {
		return err
	}
	index.Manifests = replaced(index.Manifests, tagged(root, tag))
	encoded, err := encode(index, index.MediaType)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.replaceFile("index.json", encoded.raw); err != nil {
		return err
	}
	l.published = true
	if l.exists {
		return nil
	}
	if err := os.Rename(l.dir, l.place); err != nil {
		return l.wrong(err)
	}
	return syncDir(filepath.Dir(l.place))
}

// replaced replaces the descriptors with the tag of d, or those without a tag if d has none, by d.
func replaced(all []v1.Descriptor, d v1.Descriptor) []v1.Descriptor {
	same := func(o v1.Descriptor) bool { return o.Annotations[refName] == d.Annotations[refName] }
	at := slices.IndexFunc(all, same)
	if at < 0 {
		return append(all, d)
	}
	kept := append(slices.Clone(all[:at]), d)
	for _, o := range all[at+1:] {
		if !same(o) {
			kept = append(kept, o)
		}
	}
	return kept
}
