package layer

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"laminate/flatten/layer/inflate"
)

// maxZstdWindow is the largest accepted window of a zstd frame, the default limit of the zstd
// command. Reading a frame takes up to that much memory.
const maxZstdWindow = 128 << 20

// Decompress decompresses a blob. The caller must close the returned reader, and the blob. Bytes
// after the end of a gzip stream are an error, even zeros: the gzip readers of container engines
// refuse them.
func (c Compression) Decompress(blob io.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		r, err := inflate.NewReader(blob)
		return io.NopCloser(r), err
	case Zstd:
		dec, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, windowError(err)
		}
		return &zstdReader{dec.IOReadCloser()}, nil
	case Uncompressed:
		return io.NopCloser(blob), nil
	}
	return nil, fmt.Errorf("unknown compression %q", string(c))
}

// DecompressArchive is like [Compression.Decompress], but accepts zeros after the end of a gzip
// stream, which tar writes as padding for tapes and block devices.
func (c Compression) DecompressArchive(archive io.Reader) (io.ReadCloser, error) {
	r, err := c.Decompress(archive)
	if err != nil || c != Gzip {
		return r, err
	}
	return &unpadded{r}, nil
}

type unpadded struct{ io.ReadCloser }

func (u *unpadded) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if trailing := (*inflate.TrailingError)(nil); errors.As(err, &trailing) && trailing.Zeros {
		err = io.EOF
	}
	return n, err
}

type zstdReader struct{ io.ReadCloser }

func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.ReadCloser.Read(p)
	return n, windowError(err)
}

// windowError adds a hint to the error about a window that is too large.
func windowError(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("unsupported zstd window of more than %d MiB; compress with zstd --long=27 or less: %w", maxZstdWindow>>20, err)
	}
	return err
}
