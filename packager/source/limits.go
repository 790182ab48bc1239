package source

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"laminate/packager/registry"
)

// Limits bound what one source may unpack to, so that a small file cannot fill
// the disk. The zero value stands for the defaults.
type Limits struct {
	// Bytes is the most that an archive may hold, unpacked, or a layer, or
	// that a download may have. The default is 16 GiB.
	Bytes int64
	// Entries is the most entries that an archive or a directory may have, and
	// the directories that an archive leaves out. The default is 1,000,000.
	Entries int
	// Ratio is the most that compressed data may grow by when it is unpacked,
	// once it has grown beyond 100 MiB. The default is 1,000; gzip cannot
	// reach much more.
	Ratio int64
}

const (
	ratioFrom     = 100 << 20
	documentLimit = registry.DocumentLimit
	// nameLimit bounds the names of an archive's entries.
	nameLimit = 4096
	// namesLimit bounds all names of one archive or directory together, which
	// are held in memory, with what links lead to.
	namesLimit = 64 << 20
	// depthLimit bounds the components of a path in an archive.
	depthLimit = 256
)

// isDeep tells whether a relative path has more than depthLimit components.
func isDeep(clean string) bool { return strings.Count(clean, "/") >= depthLimit }

// census counts the entries of an archive or a directory.
type census struct {
	limits         Limits
	entries, names int
}

// add counts one entry with so many bytes of names.
func (c *census) add(names int) error {
	c.entries, c.names = c.entries+1, c.names+names
	switch {
	case c.entries > c.limits.Entries:
		return fmt.Errorf("it has more than the limit of %d entries", c.limits.Entries)
	case c.names > namesLimit:
		return fmt.Errorf("its entries have names of more than the limit of %d bytes", namesLimit)
	}
	return nil
}

func (l Limits) orDefault() Limits {
	return Limits{
		Bytes:   cmp.Or(l.Bytes, 16<<30),
		Entries: cmp.Or(l.Entries, 1_000_000),
		Ratio:   cmp.Or(l.Ratio, 1_000),
	}
}

// check reports where n bytes, unpacked from packed bytes, are too many.
// Packed is 0 where nothing was compressed.
func (l Limits) check(n, packed int64) error {
	switch {
	case n > l.Bytes:
		return fmt.Errorf("it unpacks to more than the limit of %d bytes", l.Bytes)
	case packed > 0 && n > ratioFrom && n/packed > l.Ratio:
		return fmt.Errorf("it unpacks to more than %d times its size, which is beyond the limit", l.Ratio)
	}
	return nil
}

// counted counts what is read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded reads what is unpacked from packed, within the limits.
type bounded struct {
	counted
	packed *counted // nil where nothing was compressed
	limits Limits
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.counted.Read(p)
	var packed int64
	if b.packed != nil {
		packed = max(b.packed.n, 1)
	}
	if over := b.limits.check(b.n, packed); over != nil {
		return n, over
	}
	return n, err
}

// interruptible ends reading when the context does.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// readAll reads a document that is to be held in memory.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, documentLimit+1))
	if err == nil && len(data) > documentLimit {
		err = fmt.Errorf("it is larger than %d MiB", documentLimit>>20)
	}
	return data, err
}

// memo makes things once per key. What failed is made again.
type memo[T any] struct {
	mu   sync.Mutex
	made map[string]*made[T]
}

type made[T any] struct {
	mu    sync.Mutex
	ready bool
	value T
}

func (m *memo[T]) get(key string, build func() (T, error)) (T, error) {
	m.mu.Lock()
	if m.made == nil {
		m.made = map[string]*made[T]{}
	}
	it := m.made[key]
	if it == nil {
		it = &made[T]{}
		m.made[key] = it
	}
	m.mu.Unlock()
	it.mu.Lock()
	defer it.mu.Unlock()
	if it.ready {
		return it.value, nil
	}
	value, err := build()
	if err == nil {
		it.value, it.ready = value, true
	}
	return value, err
}
