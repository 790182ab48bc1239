package cache

import (
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Adopt keeps a file under a key, with a record. The caller has just found out
// the file's digest and size, and changes it no more: where that can be, it is
// not copied but gets a second name.
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

// link returns the file its name in the cache besides its own.
func (c *Cache) link(file string, ref blobRef) bool {
	temp, err := c.unfinished(func(temp string) error { return os.Link(file, filepath.Join(c.dir, temp)) })
	if err != nil {
		return false
	}
	now := time.Now()
	_ = c.root.Chtimes(temp, now, now) // until the entry is there, only its age keeps it
	if err := c.place(temp, ref.name()); err != nil {
		_ = c.root.Remove(temp)
		c.failFile(err)
		return false
	}
	return true
}

// copy is for files that are in another file system. It keeps the entry, too.
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
