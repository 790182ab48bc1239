package source

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
)

// zipDirectoryLimit is the maximum size of the central directory of a zip file.
const zipDirectoryLimit = 256 << 20

// zipDirectory reads the central directory of a zip file of size bytes. The library holds all of it
// in memory, whatever count the file claims; so entries are counted while it reads.
func zipDirectory(r io.ReaderAt, size int64, entries int) (*zip.Reader, error) {
	headers := &zipHeaders{ReaderAt: r, limit: entries, next: -1}
	z, err := zip.NewReader(headers, size)
	headers.done = true
	return z, err
}

// zipHeaders counts the headers of the directory, which are read in sequence.
type zipHeaders struct {
	io.ReaderAt
	limit          int // maximum number of entries
	entries, bytes int // still allowed
	next           int64
	before         []byte // up to three bytes before next
	done           bool
}

// ReadAt implements io.ReaderAt.
func (z *zipHeaders) ReadAt(p []byte, off int64) (int, error) {
	n, err := z.ReaderAt.ReadAt(p, off)
	if z.done {
		return n, err
	}
	if off != z.next { // the end is read first, and its headers are read again
		z.before, z.entries, z.bytes = nil, z.limit, zipDirectoryLimit
	}
	seen := slices.Concat(z.before, p[:n])
	z.before, z.next = seen[max(0, len(seen)-3):], off+int64(n)
	z.entries -= bytes.Count(seen, []byte("PK\x01\x02"))
	z.bytes -= n
	switch {
	case z.entries < 0:
		return 0, fmt.Errorf("too many entries; the limit is %d", z.limit)
	case z.bytes < 0:
		return 0, fmt.Errorf("zip directory exceeds the limit of %d MiB", zipDirectoryLimit>>20)
	}
	return n, err
}

// zipOverlap returns an error if entries share bytes of the file, which lets a small file unpack to
// any size (https://www.bamsoftware.com/hacks/zipbomb/).
func zipOverlap(ctx context.Context, files []*zip.File) error {
	type content struct {
		name       string
		start, end int64
	}
	var contents []content
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		start, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("entry %.100q: %w", f.Name, err)
		}
		end := start + int64(f.CompressedSize64)
		if end < start {
			return fmt.Errorf("entry %.100q: %w", f.Name, zip.ErrFormat)
		}
		if end > start {
			contents = append(contents, content{f.Name, start, end})
		}
	}
	slices.SortFunc(contents, func(a, b content) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	for i, c := range contents[min(1, len(contents)):] {
		if before := contents[i]; c.start < before.end {
			return fmt.Errorf("invalid zip file: entries %.100q and %.100q share bytes; pack it again", before.name, c.name)
		}
	}
	return nil
}
