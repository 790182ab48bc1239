package cache

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Writer writes the blob of an entry. The caller must call Commit or Discard.
type Writer struct {
	cache *Cache
	key   string
	file  *os.File // nil if nothing will be added
	temp  string
	buf   *bufio.Writer
	sum   hash.Hash
	size  int64
}

// Create starts an entry with a blob. Commit adds it.
func (c *Cache) Create(key string) *Writer {
	w := &Writer{cache: c, key: key}
	if c == nil || c.failed() {
		return w
	}
	file, temp, err := c.temporary()
	if err != nil {
		c.failFile(err)
		return w
	}
	w.file, w.temp, w.sum = file, temp, sha256.New()
	w.buf = bufio.NewWriterSize(io.MultiWriter(file, w.sum), 64<<10)
	return w
}

// Write appends to the blob. It never fails, so that it can be used in an io.MultiWriter: after an
// error, or if the blob alone would fill the cache, the blob is dropped.
func (w *Writer) Write(p []byte) (int, error) {
	if w.file == nil {
		return len(p), nil
	}
	w.size += int64(len(p))
	if w.size > w.cache.low() {
		w.Discard()
	} else if _, err := w.buf.Write(p); err != nil {
		w.fail(err)
	}
	return len(p), nil
}

// Commit ends the blob and adds it under the key, with a record, any JSON value.
func (w *Writer) Commit(value any) {
	if w.file == nil {
		return
	}
	if err := w.buf.Flush(); err != nil {
		w.fail(err)
		return
	}
	ref := blobRef{Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(w.sum.Sum(nil))}, Size: w.size}
	// Until the entry exists, only its age protects the blob.
	now := time.Now()
	_ = w.cache.root.Chtimes(w.temp, now, now)
	err := w.file.Close()
	// An existing blob of this digest may be corrupt; this one is not.
	if err == nil {
		err = w.cache.place(w.temp, ref.name())
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.file = nil
	w.cache.put(w.key, value, &ref)
}

// Discard drops the blob. After Commit, or another Discard, it does nothing.
func (w *Writer) Discard() {
	if w.file == nil {
		return
	}
	_ = w.file.Close() // the content is discarded
	_ = w.cache.root.Remove(w.temp)
	w.file = nil
}

func (w *Writer) fail(err error) {
	w.Discard()
	w.cache.failFile(err)
}

// temporary creates a temporary file.
func (c *Cache) temporary() (f *os.File, name string, err error) {
	name, err = c.unfinished(func(name string) error {
		f, err = c.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	return f, name, err
}

// errGone is the error of a file that was removed before it was finished.
var errGone = errors.New("gone")

// place moves a finished file to its name.
func (c *Cache) place(temp, name string) error {
	c.dropLinks(path.Dir(name))
	err := c.within(path.Dir(name), func() error { return c.root.Rename(temp, name) })
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	return err
}

// within calls do, and creates the directory if it is missing. It tries several times, since a
// concurrent cleanup may remove the directory again.
func (c *Cache) within(dir string, do func() error) error {
	err := do()
	for range 100 {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			break
		}
		if err = c.root.MkdirAll(dir, 0o700); err == nil {
			err = do()
		}
	}
	return err
}
