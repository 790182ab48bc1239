package source

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
)

// Limits bound what one source may unpack to, so that a small file cannot fill
// the disk. The zero value stands for the defaults.
type Limits struct {
	// Bytes is the most that an archive may hold, unpacked, or a layer, or
	// that a download may have. The default is 16 GiB.
	Bytes int64
	// Entries is the most entries that an archive may have. The default is 1,000,000.
	Entries int
	// Ratio is the most that compressed data may grow by when it is unpacked,
	// once it has grown beyond 100 MiB. The default is 1,000; gzip cannot
	// reach much more.
	Ratio int64
}

const (
	ratioFrom = 100 << 20
	// documentLimit bounds manifests, image configs and indexes, which are
	// held in memory.
	documentLimit = 16 << 20
	// nameLimit bounds the names of an archive's entries.
	nameLimit = 4096
)

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
