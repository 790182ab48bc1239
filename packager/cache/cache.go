// Package cache keeps what was made or fetched before, by key, in a directory
// that many runs may use at the same time.
//
// An entry is a small record, with or without a blob. The directory holds
//
//	v1/entries/ab/<SHA-256 of the key>   the SHA-256 of the rest, a newline, and JSON: key, record, the blob's digest and size
//	v1/blobs/sha256/ab/<digest>          the blob; several entries may name it
//	v1/tmp/<scratch directory>/<name>    what a run has not finished
//
// Nothing in it is trusted. An entry counts if its first line, its key and its
// blob, down to the last bit, are what they should be; all else is as good as
// absent, and removed when it is met. So nothing is ever brought to the disk by
// force (fsync): what a power cut tears is found out by whoever reads it, and
// costs no more than being made again. Only against somebody who can write to
// the directory a digest beside the data is no help; so it is the user's alone
// (0700, files 0600), and refused where another user owns it or could put another
// directory in its place. What is below v1 is opened beneath it, and a symbolic
// link is followed neither there nor at the directory itself.
//
// Readers and writers take no locks. Every file is written under a name of its
// own and renamed, the blob before the entry that names it; the scratch directory
// (see package scratch) of a run that was killed is removed by the next one. Of
// two writers of one key the last one wins. A file that is removed stays with the
// runs that have it open.
//
// A cache never fails a run: nobody is told that something could not be kept
// but by [Cache.Close], once.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"laminate/packager/filesys"
	"laminate/packager/scratch"
)

// DefaultLimit is how many bytes a cache holds unless somebody says otherwise.
const DefaultLimit = 10_000_000_000

const (
	// format is the directory of everything; what is kept in another way in
	// future goes into another one.
	format = "v1"
	// touchAfter is how old the mark of an entry's last use may be.
	touchAfter = 5 * time.Minute
	// tag is what backups know a cache by: https://bford.info/cachedir/
	tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is the cache of laminate. It may be removed at any time.\n"
)

// Cache is a cache that was opened. A nil *Cache has nothing and keeps
// nothing: every method works on it. It is safe for concurrent use.
type Cache struct {
	dir   string
	root  *os.Root
	limit int64

	wrote atomic.Bool           // there is something to trim for
	fault atomic.Pointer[error] // what keeps it from keeping more

	mu      sync.Mutex
	scratch *scratch.Dir // holds what this run has not finished; nil before there is such
}

// Open opens the cache in a directory, and makes that if there is none. Limit
// is the most bytes that it holds when no run is writing; 0 is [DefaultLimit].
// Who opened it calls Close.
func Open(dir string, limit int64) (*Cache, error) {
	if limit <= 0 {
		limit = DefaultLimit
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, inner, err := openLevels(dir)
	if err != nil {
		return nil, err
	}
	// It is for others; where it cannot be written, nothing of ours is missing.
	if f, err := root.OpenFile("CACHEDIR.TAG", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_, _ = f.WriteString(tag)
		_ = f.Close()
	}
	c := &Cache{dir: inner, root: root, limit: limit}
	c.sweep()
	return c, nil
}

// Close trims the cache if something was kept, and gives what first kept it
// from keeping something, for one warning. Blobs that were got stay readable.
func (c *Cache) Close(ctx context.Context) error {
	if c == nil {
		return nil
	}
	if c.wrote.Swap(false) && ctx.Err() == nil {
		if err := c.Trim(ctx); err != nil && ctx.Err() == nil {
			c.fail(err)
		}
	}
	c.dropScratch()
	err := c.root.Close()
	if fault := c.fault.Swap(nil); fault != nil {
		err = *fault
	}
	return err
}

// fail remembers the first of what went wrong. After it nothing more is kept:
// a full disk is filled once.
func (c *Cache) fail(err error) { c.fault.CompareAndSwap(nil, &err) }

// failFile is fail for the error of a file. Somebody who cleans the cache in
// the meantime is no fault of it.
func (c *Cache) failFile(err error) {
	if !errors.Is(err, errGone) {
		c.fail(fmt.Errorf("%s: %w", c.dir, reasonOf(err)))
	}
}

func (c *Cache) failed() bool { return c.fault.Load() != nil }

// Get returns what is kept under a key. The record is decoded into value, a
// pointer, or nil where nobody wants it; value means nothing if there is no
// entry. The blob, nil if the entry has none, was read and verified whole, and
// belongs to the caller.
func (c *Cache) Get(ctx context.Context, key string, value any) (*Blob, bool) {
	if c == nil {
		return nil, false
	}
	name := entryName(key)
	e, used, err := c.readEntry(name)
	if err == nil && value != nil && json.Unmarshal(e.Record, value) != nil {
		err = errSpoiled
	}
	var b *Blob
	if err == nil && e.Blob != nil {
		b, err = c.readBlob(ctx, *e.Blob)
	}
	switch {
	case errors.Is(err, errSpoiled):
		c.remove(name)
		return nil, false
	case err != nil:
		return nil, false
	}
	if now := time.Now(); now.Sub(used).Abs() > touchAfter {
		_ = c.root.Chtimes(name, now, now) // a cache that cannot be written to can be read
	}
	return b, true
}

// Put keeps a record, which is anything that becomes JSON, without a blob.
// Keys are UTF-8 without secrets: they stand in the entry in clear. The word
// before a key's first space says what kind of thing it is for; see [Info].
func (c *Cache) Put(key string, value any) {
	if c == nil || c.failed() {
		return
	}
	c.put(key, value, nil)
}

func (c *Cache) put(key string, value any, blob *blobRef) {
	data, err := encode(key, value, blob)
	if err != nil {
		c.fail(err)
		return
	}
	f, temp, err := c.temporary()
	if err == nil {
		_, err = f.Write(data)
		if err = errors.Join(err, f.Close()); err == nil {
			err = c.place(temp, entryName(key))
		}
		if err != nil {
			_ = c.root.Remove(temp)
		}
	}
	if err != nil {
		c.failFile(err)
		return
	}
	c.wrote.Store(true)
}

// readEntry reads an entry, and tells when it was used last. The error is
// errSpoiled where there is one that is good for nothing.
func (c *Cache) readEntry(name string) (entry, time.Time, error) {
	f, info, err := c.open(name)
	if err != nil {
		return entry{}, time.Time{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return entry{}, time.Time{}, err
	}
	e, err := decode(data)
	if err == nil && entryName(e.Key) != name {
		err = errSpoiled
	}
	return e, info.ModTime(), err
}

// open opens a file. What stands in its place and is none is spoiled; a pipe
// must not make anybody wait.
func (c *Cache) open(name string) (*os.File, fs.FileInfo, error) {
	c.dropLinks(name)
	f, err := c.root.OpenFile(name, os.O_RDONLY|filesys.NoWait, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errSpoiled
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// remove removes what is spoiled. Where it cannot, it stays spoiled.
func (c *Cache) remove(name string) { _ = c.root.RemoveAll(name) }

// reasonOf takes the operation and the name, which mostly is a temporary one,
// off an error of package os.
func reasonOf(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
