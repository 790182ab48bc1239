package cache_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/cache"
)

// record is what the tests keep.
type record struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

var ctx = context.Background()

// open opens a cache, and closes it when the spec ends.
func open(dir string, limit int64) *cache.Cache {
	GinkgoHelper()
	c, err := cache.Open(dir, limit)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.Close(ctx)).To(Succeed()) })
	return c
}

// keep keeps a blob under a key.
func keep(c *cache.Cache, key, content string, r record) {
	GinkgoHelper()
	w := c.Create(key)
	_, err := io.WriteString(w, content)
	Expect(err).NotTo(HaveOccurred())
	w.Commit(r)
}

// got returns the blob that is kept under a key, and its record.
func got(c *cache.Cache, key string) (string, record, bool) {
	GinkgoHelper()
	var r record
	b, ok := c.Get(ctx, key, &r)
	if !ok {
		return "", record{}, false
	}
	return read(b), r, true
}

// read reads a blob and closes it.
func read(b *cache.Blob) string {
	GinkgoHelper()
	data, err := io.ReadAll(b.Reader())
	Expect(err).NotTo(HaveOccurred())
	Expect(b.Close()).To(Succeed())
	return string(data)
}

// files are the files below a directory of the cache, by path.
func files(dir, below string) []string {
	GinkgoHelper()
	var all []string
	err := filepath.WalkDir(filepath.Join(dir, "v1", below), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	Expect(err).NotTo(HaveOccurred())
	return all
}

// only is the one file below a directory of the cache.
func only(dir, below string) string {
	GinkgoHelper()
	all := files(dir, below)
	Expect(all).To(HaveLen(1))
	return all[0]
}

func diskUse(dir string) (n int64) {
	GinkgoHelper()
	for _, f := range files(dir, "") {
		info, err := os.Lstat(f)
		Expect(err).NotTo(HaveOccurred())
		n += info.Size()
	}
	return n
}

// entryOf is the file of a key's entry.
func entryOf(dir, key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(dir, "v1", "entries", name[:2], name)
}

// age makes a file as old as if it had been used that long ago.
func age(file string, by time.Duration) {
	GinkgoHelper()
	at := time.Now().Add(-by)
	Expect(os.Chtimes(file, at, at)).To(Succeed())
}

// noise is content that belongs to a seed.
func noise(seed uint64, size int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var s strings.Builder
	for s.Len() < size {
		var b [8]byte
		for i, n := 0, r.Uint64(); i < len(b); i++ {
			b[i] = byte(n >> (8 * i))
		}
		s.Write(b[:])
	}
	return s.String()[:size]
}

// stoppedContext is one that is over.
func stoppedContext(parent context.Context) (context.Context, context.CancelFunc) {
	stopped, stop := context.WithCancel(parent)
	stop()
	return stopped, stop
}

// openBroken opens a cache that will not close without an error.
func openBroken(dir string, limit int64) *cache.Cache {
	GinkgoHelper()
	c, err := cache.Open(dir, limit)
	Expect(err).NotTo(HaveOccurred())
	return c
}

// newest is the file below a directory of the cache that was used last.
func newest(dir, below string) (name string) {
	GinkgoHelper()
	var last time.Time
	for _, f := range files(dir, below) {
		info, err := os.Stat(f)
		Expect(err).NotTo(HaveOccurred())
		if info.ModTime().After(last) {
			name, last = f, info.ModTime()
		}
	}
	return name
}
