package stream

import (
	"cmp"
	"fmt"
	"io"
)

// Limits bound the unpacked size of one source, so that a small file cannot fill the disk. The zero
// value means the defaults.
type Limits struct {
	// Bytes is the maximum unpacked size of an archive or a layer, and the maximum size of a
	// download. The default is 16 GiB.
	Bytes int64
	// Entries is the maximum number of entries of an archive or a directory, including directories
	// that an archive leaves out. The default is 1,000,000.
	Entries int
	// Ratio is the maximum ratio of unpacked to compressed size, enforced above 100 MiB. The
	// default is 1,000; gzip cannot reach much more.
	Ratio int64
}

const ratioFrom = 100 << 20

// OrDefault returns the limits with defaults for zero fields.
func (l Limits) OrDefault() Limits {
	return Limits{
		Bytes:   cmp.Or(l.Bytes, 16<<30),
		Entries: cmp.Or(l.Entries, 1_000_000),
		Ratio:   cmp.Or(l.Ratio, 1_000),
	}
}

// Check returns an error if n bytes, unpacked from packed bytes, exceed the limits. Packed is 0 for
// uncompressed data.
func (l Limits) Check(n, packed int64) error {
	switch {
	case n > l.Bytes:
		return fmt.Errorf("unpacked size exceeds the limit of %d bytes", l.Bytes)
	case packed > 0 && n > ratioFrom && n/packed > l.Ratio:
		return fmt.Errorf("unpacked size exceeds %d times the compressed size", l.Ratio)
	}
	return nil
}

// Counted counts the bytes read.
type Counted struct {
	io.Reader
	N int64
}

func (c *Counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.N += int64(n)
	return n, err
}

// Bounded reads data that is unpacked from Packed, and enforces the limits.
type Bounded struct {
	Counted
	Packed *Counted // nil for uncompressed data
	Limits Limits
}

// Within returns a reader that enforces the limits.
func Within(l Limits, r io.Reader, packed *Counted) *Bounded {
	return &Bounded{Counted: Counted{Reader: r}, Packed: packed, Limits: l}
}

func (b *Bounded) Read(p []byte) (int, error) {
	n, err := b.Counted.Read(p)
	var packed int64
	if b.Packed != nil {
		packed = max(b.Packed.N, 1)
	}
	if over := b.Limits.Check(b.N, packed); over != nil {
		return n, over
	}
	return n, err
}
