package layer

import (
	"context"
	"errors"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
)

// Built is a layer that [Build] wrote. It is a valid [v1.Layer] as long as its file exists.
type Built struct {
	// Pieces are the pieces of the layer, in order.
	Pieces []flatten.Facts
	// Packed are the lengths of the pieces in the blob, in bytes. Each piece is a sequence of whole
	// members or frames; the first begins at offset 0.
	Packed []int64

	path        string
	compression Compression
	diffID      v1.Hash
	digest      v1.Hash
	size        int64
}

// Record is the metadata of a built layer, for callers that keep its file.
type Record struct {
	DiffID      v1.Hash
	Digest      v1.Hash
	Size        int64 // of the blob, in bytes
	Compression Compression
	Pieces      []flatten.Facts
	Packed      []int64
}

// Record returns the layer's metadata.
func (b *Built) Record() Record {
	return Record{b.diffID, b.digest, b.size, b.compression, b.Pieces, b.Packed}
}

// Open returns the layer whose blob is the file at path. The record must describe that file.
func (r Record) Open(path string) *Built {
	return &Built{Pieces: r.Pieces, Packed: r.Packed, path: path, compression: r.Compression, diffID: r.DiffID, digest: r.Digest, size: r.Size}
}

// Path returns the path of the blob.
func (b *Built) Path() string { return b.path }

// Digest returns the digest of the compressed blob.
func (b *Built) Digest() (v1.Hash, error) { return b.digest, nil }

// DiffID returns the digest of the uncompressed tar.
func (b *Built) DiffID() (v1.Hash, error) { return b.diffID, nil }

// Size returns the size of the compressed blob, in bytes.
func (b *Built) Size() (int64, error) { return b.size, nil }

// MediaType returns Docker's media type for gzip, as platforms expect, and OCI's for zstd, for
// which Docker has none.
func (b *Built) MediaType() (types.MediaType, error) { return b.compression.MediaType(), nil }

// Compressed opens the blob.
func (b *Built) Compressed() (io.ReadCloser, error) { return os.Open(b.path) }

// Uncompressed opens the tar.
func (b *Built) Uncompressed() (io.ReadCloser, error) { return OpenFile(b.path, b.compression) }

// OpenFile opens the tar in a compressed file. The caller must close it.
func OpenFile(path string, c Compression) (io.ReadCloser, error) {
	blob, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	tar, err := c.Decompress(blob)
	if err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return &both{Reader: tar, closers: []io.Closer{tar, blob}}, nil
}

// Open opens the tar; it is an [Opener].
func (b *Built) Open(context.Context) (io.ReadCloser, error) { return b.Uncompressed() }

type both struct {
	io.Reader
	closers []io.Closer
}

func (b *both) Close() error {
	var errs []error
	for _, c := range b.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// MediaType returns the media type of a layer with the compression: Docker's, except for zstd.
func (c Compression) MediaType() types.MediaType {
	switch c {
	case Zstd:
		return types.OCILayerZStd
	case Uncompressed:
		return types.DockerUncompressedLayer
	}
	return types.DockerLayer
}
