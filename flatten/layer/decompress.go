package layer

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"laminate/flatten/layer/inflate"
)

// maxZstdWindow is the largest window of a zstd frame that is read, which is
// what the zstd command reads without further flags. As much memory is needed to
// read such a frame, if its content is as long.
const maxZstdWindow = 128 << 20

// Decompress reads a blob of the compression. The caller closes what it returns,
// and the blob. Bytes after the end of a gzip stream are an error, zeros too: the
// gzip readers of container engines refuse them.
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
	return nil, fmt.Errorf("compression %q is not known", string(c))
}

// DecompressArchive reads an archive as [Compression.Decompress] reads a blob,
// but that zeros may follow the end of a gzip stream, which is how tar pads what
// it writes to tapes and block devices.
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

// windowError says what to do about a window that is too large.
func windowError(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("unsupported zstd window of more than %d MiB; compress with zstd --long=27 or less: %w", maxZstdWindow>>20, err)
	}
	return err
}
