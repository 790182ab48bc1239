// Package cache keeps results and downloads by key, in a directory that several processes may use
// at the same time.
//
// An entry is a small record, with or without a blob. The directory holds
//
//	v1/entries/ab/<SHA-256 of the key>   the SHA-256 of the rest, a newline, and JSON: key, record, the blob's digest and size
//	v1/blobs/sha256/ab/<digest>          the blob; several entries may name it
//	v1/trees/ab/<SHA-256 of the key>/    a directory tree: the record in the file tree, the content in root
//	v1/tmp/<scratch directory>/<name>    what a run has not finished
//
// The content is verified on every read: an entry is valid if its first line, its key and its whole
// blob match. Anything else is treated as missing, and removed. So the cache needs no fsync: files
// damaged by a power failure are detected by their readers, and made again. Digests beside the data
// do not protect against users who can write to the directory; so it is private (0700, files 0600),
// and refused if another user owns it or could replace it. Files below v1 are opened beneath it.
// Symbolic links are not followed, neither there nor at the directory itself.
//
// Trees are the exception: verifying one would take as long as making it. They are believed since
// they are renamed to their names when they are complete, and their users hold locks on them; see
// [Cache.Tree].
//
// Readers and writers of entries take no locks. Every file is written under a temporary name and renamed, a
// blob before its entry; the scratch directory (see package scratch) of a killed process is removed
// by the next one. Of two writers of one key the last one wins. Removing a file does not affect the
// processes that have it open.
//
// Errors of the cache never fail a run: only [Cache.Close] returns the first of them.
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
	"laminate/packager/localfile"
	"laminate/packager/scratch"
)

// DefaultLimit is the default size limit of a cache in bytes.
const DefaultLimit = 10_000_000_000

const (
	// format is the directory for this format; a future format will use another.
	format = "v1"
	// touchAfter is the age at which an entry's time of last use is updated.
	touchAfter = 5 * time.Minute
	// tag marks caches for backup tools: https://bford.info/cachedir/
	tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is the cache of laminate. It may be removed at any time.\n"
)

// Cache is an open cache. All methods work on a nil *Cache, which is empty and keeps nothing. It is
// safe for concurrent use.
type Cache struct {
	dir   string
	root  *os.Root
	limit int64

	wrote atomic.Bool           // something was added since Open
	fault atomic.Pointer[error] // the first error; nothing is added after it

	mu      sync.Mutex
	scratch *scratch.Dir // for unfinished files; nil until needed
}

// Open opens the cache in a directory, which it creates if necessary. Limit is the size limit in
// bytes, enforced when no run is writing; 0 means [DefaultLimit]. The caller must close it.
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
	// It is for other tools; failing to write it is harmless.
	if f, err := root.OpenFile("CACHEDIR.TAG", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_, _ = f.WriteString(tag)
		_ = f.Close()
	}
	c := &Cache{dir: inner, root: root, limit: limit}
	c.sweep()
	return c, nil
}

// Close trims the cache if something was added, and returns the first error of adding, for a
// warning. Blobs stay readable.
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

// fail records the first error. Nothing is added after it: a full disk is filled only once.
func (c *Cache) fail(err error) { c.fault.CompareAndSwap(nil, &err) }

// failFile is fail for the error of a file. It ignores files that a concurrent cleanup removed.
func (c *Cache) failFile(err error) {
	if !errors.Is(err, errGone) {
		c.fail(fmt.Errorf("%s: %w", c.dir, localfile.Reason(err)))
	}
}

func (c *Cache) failed() bool { return c.fault.Load() != nil }

// Get returns the entry of a key. It decodes the record into value, a pointer or nil; value is
// undefined if there is no entry. The blob, nil if the entry has none, is verified; the caller must
// close it.
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
		_ = c.root.Chtimes(name, now, now) // the cache may be read-only
	}
	return b, true
}

// Put adds a record, any JSON value, without a blob. Keys are UTF-8 without secrets: entries hold
// them in plain text. The part of a key before its first space is its kind; see [Info].
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

// readEntry reads an entry, and returns when it was used last. The error is errSpoiled if it is
// invalid.
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

// open opens a regular file. Anything else is errSpoiled; opening must not block on a pipe.
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

// remove removes an invalid file. If that fails, the file stays invalid.
func (c *Cache) remove(name string) { _ = c.root.RemoveAll(name) }
