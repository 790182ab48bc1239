package cache

import (
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Adopt adds a file under a key, with a record. The caller has just computed its digest and size,
// and must not modify it any more: the file is linked if possible, and copied otherwise.
func (c *Cache) Adopt(key, file string, digest v1.Hash, size int64, value any) {
	if c == nil || c.failed() || size > c.low() {
		return
	}
	ref := blobRef{Digest: digest, Size: size}
	if info, err := c.root.Lstat(ref.name()); err != nil || !info.Mode().IsRegular() || info.Size() != size {
		if !c.link(file, ref) {
			c.copy(file, key, value)
			return
		}
	}
	c.put(key, value, &ref)
}

// link hard-links the file into the cache.
func (c *Cache) link(file string, ref blobRef) bool {
	temp, err := c.unfinished(func(temp string) error { return os.Link(file, filepath.Join(c.dir, temp)) })
	if err != nil {
		return false
	}
	now := time.Now()
	_ = c.root.Chtimes(temp, now, now) // until the entry exists, only its age protects it
	if err := c.place(temp, ref.name()); err != nil {
		_ = c.root.Remove(temp)
		c.failFile(err)
		return false
	}
	return true
}

// copy copies a file from another file system, and adds the entry.
func (c *Cache) copy(file, key string, value any) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	w := c.Create(key)
	defer w.Discard()
	if _, err := io.Copy(w, f); err == nil {
		w.Commit(value)
	}
}
