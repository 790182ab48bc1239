// Package rootfs unpacks the root file system of an image into a directory, once per image: it is
// kept in the cache, by the chain of its diffIDs (OCI image specification, "Layer ChainID").
//
// A root file system serves to run programs in, as the user who unpacked it, and not to make images
// of. So these differ from what the layers say:
//
//   - Every file belongs to the user; owners and extended attributes are dropped.
//   - Set-id bits are dropped. The sticky bit of directories stays.
//   - Directories are readable, writable and searchable for their owner, so that the caller can
//     remove them.
//   - Devices and pipes are skipped, and counted.
//   - Directories that no layer has an entry for have the mode 0755 and the time 0.
//
// Modes, times, symbolic links and hard links are otherwise those of the layers, which are applied
// in order (OCI image specification, "Applying Changesets" and "Whiteouts"). A whiteout, or an
// opaque directory, hides what is in lower layers, and nothing in its own layer, whatever the order
// of entries. Symbolic links in the parent directories of an entry are followed inside the root file
// system: with /bin -> usr/bin in a lower layer, the entry bin/x is usr/bin/x. Names that are
// absolute, or have .. components, are those of files inside it as well. An entry of another type
// replaces what is at its name.
//
// Nothing in a layer is trusted. Every step is relative to the descriptor of a directory and follows
// no link, so that nothing outside is ever opened; sizes, the number of entries, and depths are
// limited; and a layer that does not match its digest or diffID is an error.
package rootfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/cache"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// format is the version of what a tree looks like. Trees of other versions are not used.
const format = 1

// Options are options of [Unpack].
type Options struct {
	// Cache keeps the root file system. If it is nil or cannot be used, the root file system is in
	// WorkDir until it is closed.
	Cache   *cache.Cache
	WorkDir string
	// Jobs is the number of layers that are read at the same time. The default is the number of
	// processors.
	Jobs int
	// Limits bound the whole root file system: the size of its files, and the number of entries of
	// all layers.
	Limits stream.Limits
	// Log receives a warning if the cache cannot be used. The default is [progress.Discard].
	Log progress.Log
}

// Facts are facts of a root file system.
type Facts struct {
	// Entries is the number of its files, directories and links.
	Entries int `json:"entries"`
	// Bytes is the size of files and targets of symbolic links; a file counts with each of its names.
	Bytes int64 `json:"bytes"`
	// Disk is about the space on disk.
	Disk int64 `json:"disk"`
	// Skipped is the number of entries for devices and pipes.
	Skipped int64 `json:"skipped"`
}

// Root is an unpacked root file system. Other runs use it too: the caller must not modify it.
type Root struct {
	// Path is the path of its directory.
	Path string
	Facts

	close func() error
}

// Close releases the root file system, which other runs may then remove from the cache, and removes
// one that is not in the cache. It does nothing on a nil *Root.
func (r *Root) Close() error {
	if r == nil {
		return nil
	}
	return r.close()
}

// errDamaged is the error for a tree that has changed since it was made.
var errDamaged = errors.New("files were added, removed or changed")

// Unpack returns the root file system of an image: the one in the cache, or a new one. It reads each
// layer once. Whatever happens, the cache holds a root file system completely or not at all. Of two
// runs with the same image one unpacks it, and the other one waits. The caller must close it.
func Unpack(ctx context.Context, img *image.Image, o Options) (*Root, error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Log == nil {
		o.Log = progress.Discard
	}
	o.Limits = o.Limits.OrDefault()
	if o.Cache == nil {
		return unpackTemporary(ctx, img, o)
	}
	var facts Facts
	began := false
	tree, err := o.Cache.Tree(ctx, key(img), &facts, cache.Filling{
		Make: func(ctx context.Context, dir string) (any, int64, error) {
			began = true
			made, err := fill(ctx, img, dir, o)
			return made, made.Disk, err
		},
		Check: check,
	})
	switch {
	case err == nil:
		return &Root{tree.Path, facts, tree.Close}, nil
	case began || ctx.Err() != nil:
		return nil, err
	}
	o.Log.Warn(fmt.Sprintf("the cache cannot be used, so the root file system of %s is unpacked for this run only: %v", img.Name, err))
	return unpackTemporary(ctx, img, o)
}

// unpackTemporary unpacks a root file system into the work directory.
func unpackTemporary(ctx context.Context, img *image.Image, o Options) (*Root, error) {
	dir, err := os.MkdirTemp(o.WorkDir, "rootfs-")
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, errors.Join(err, remove())
	}
	facts, err := fill(ctx, img, root, o)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return &Root{root, facts, remove}, nil
}

// check returns an error if a tree is not as it was made. It compares what costs little: numbers and
// sizes, which detects files that a power failure has truncated, and files that a cleaner removed.
func check(dir string, record json.RawMessage) error {
	var made Facts
	if err := json.Unmarshal(record, &made); err != nil {
		return err
	}
	now, err := survey(dir)
	if err != nil {
		return err
	}
	if now.Entries != made.Entries || now.Bytes != made.Bytes {
		return errDamaged
	}
	return nil
}

// key returns the key of an image's root file system in the cache.
func key(img *image.Image) string {
	return fmt.Sprintf("rootfs %d %s", format, ChainID(img.Config.RootFS.DiffIDs))
}

// ChainID returns the digest that identifies the result of applying layers in order.
func ChainID(diffIDs []v1.Hash) v1.Hash {
	var chain v1.Hash
	for i, d := range diffIDs {
		if i == 0 {
			chain = d
			continue
		}
		h := stream.NewHash()
		fmt.Fprintf(h, "%s %s", chain, d) // a hash returns no error
		chain = stream.Digest(h)
	}
	return chain
}
