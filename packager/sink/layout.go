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
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"laminate/packager/localfile"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
)

// writeLayout writes the image, or the index over several, into an OCI layout.
// A new layout is made beside its place. In a layout that is there, blobs come
// first and index.json is replaced at the end, so that whoever reads it sees
// the old state or the new one. What nothing refers to any more is left there.
func writeLayout(ctx context.Context, dest location.Location, contents []content, o Options) (written []Written, err error) {
	if contents, err = allOCI(contents); err != nil {
		return nil, err
	}
	root, blobs, err := rootOf(contents)
	if err != nil {
		return nil, err
	}
	// Two runs that write to one layout must not both read its index.json
	// before either has written it. A layout that is not there yet has no
	// place for a lock; its directory has.
	unlock, err := lockDir(ctx, filepath.Dir(filepath.Clean(dest.Path)))
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", dest.Path, reasonOf(err))
	}
	defer func() { err = errors.Join(err, unlock()) }()
	dir, exists, err := inspectLayout(dest.Path)
	if err != nil {
		return nil, err
	}
	l := &layoutDir{place: dir, dir: dir, log: o.Log}
	if !exists {
		l.dir = filepath.Join(filepath.Dir(dir), besideName())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.undo(exists))
		}
	}()
	if err := l.writeBlobs(ctx, blobs, o.Jobs); err != nil {
		return nil, err
	}
	if err := l.publish(ctx, root, dest.Ref); err != nil {
		return nil, err
	}
	destination := "oci:" + dest.Path
	if dest.Ref != "" {
		destination += ":" + dest.Ref
	}
	return []Written{{Digest: root.Digest, Destination: destination}}, nil
}

// rootOf is what index.json will point at, and all blobs that this needs.
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

// inspectLayout tells whether something stands at path, and refuses what is
// neither a layout nor an empty directory.
func inspectLayout(path string) (dir string, exists bool, err error) {
	if dir, err = filepath.EvalSymlinks(path); err != nil {
		dir = filepath.Clean(path)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || !info.IsDir() {
			return "", false, fmt.Errorf("output %s: there is no directory %s", path, filepath.Dir(dir))
		}
		return dir, false, nil
	case err != nil:
		return "", false, fmt.Errorf("output %s: %w", path, reasonOf(err))
	case len(entries) == 0:
		return dir, true, nil
	}
	mark, err := localfile.Read(filepath.Join(dir, "oci-layout"), registry.DocumentLimit)
	if err != nil {
		return "", false, fmt.Errorf("output %s: the directory holds other things than an OCI layout", path)
	}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(mark, &layout); err != nil {
		return "", false, fmt.Errorf("output %s: oci-layout: %w", path, err)
	}
	if layout.Version != "1.0.0" {
		return "", false, fmt.Errorf("output %s: the OCI layout has version %q, not 1.0.0", path, layout.Version)
	}
	_, err = readIndex(dir)
	return dir, true, err
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
		err = json.Unmarshal(raw, &index)
	}
	if err != nil {
		return index, fmt.Errorf("output %s: %w", file, reasonOf(err))
	}
	return index, nil
}

// A layoutDir is a layout that is written to: in its place, or beside it.
type layoutDir struct {
	place string
	dir   string
	log   progress.Log

	made []string // directories that were made, outer ones first

	mu    sync.Mutex
	wrote []string // blobs that were not there before
}

func (l *layoutDir) writeBlobs(ctx context.Context, blobs []blob, jobs int) error {
	for _, d := range []string{l.dir, filepath.Join(l.dir, "blobs"), filepath.Join(l.dir, "blobs", "sha256")} {
		switch err := os.Mkdir(d, 0o777); {
		case err == nil:
			l.made = append(l.made, d)
		case !errors.Is(err, fs.ErrExist):
			return fmt.Errorf("output %s: %w", l.place, reasonOf(err))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, b := range blobs {
		group.Go(func() error { return l.writeBlob(ctx, b) })
	}
	return group.Wait()
}

// writeBlob writes a blob, unless it is there and is what its name says.
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
	f, err := b.linkOrWrite(ctx, path, l.log)
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

// publish makes what was written visible.
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
	if err := replaceFile(filepath.Join(l.dir, "index.json"), encoded.raw); err != nil {
		return err
	}
	l.wrote, l.made = nil, nil // they are referred to from now on
	mark := filepath.Join(l.dir, "oci-layout")
	if _, err := os.Lstat(mark); err != nil {
		if err := replaceFile(mark, []byte(layoutMark)); err != nil {
			return err
		}
	}
	if l.dir == l.place {
		return nil
	}
	if err := os.Rename(l.dir, l.place); err != nil {
		return fmt.Errorf("output %s: %w", l.place, reasonOf(err))
	}
	return syncDir(filepath.Dir(l.place))
}

// undo removes what was made. Beside its place everything goes; in a layout
// that was there only what this run put into it.
func (l *layoutDir) undo(exists bool) error {
	if !exists {
		return os.RemoveAll(l.dir)
	}
	for _, path := range l.wrote {
		_ = os.Remove(path) // nothing refers to it: harmless where it stays
	}
	for _, d := range slices.Backward(l.made) {
		_ = os.Remove(d) // goes only if it is empty
	}
	return nil
}

// replaced puts d in the place of the descriptors that have its tag, or, where
// it has none, of those without a tag.
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
