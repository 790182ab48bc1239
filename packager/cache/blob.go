package cache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob is a verified blob. It keeps the file open until it is closed, so that readers get what was
// verified even if the file is removed from the cache.
type Blob struct {
	ref  blobRef
	file *os.File
	path string // path of the file
}

// Digest returns the blob's SHA-256.
func (b *Blob) Digest() v1.Hash { return b.ref.Digest }

// Size returns the blob's size in bytes.
func (b *Blob) Size() int64 { return b.ref.Size }

// Reader returns a new reader of the blob. It is valid until the blob is closed.
func (b *Blob) Reader() *io.SectionReader { return io.NewSectionReader(b.file, 0, b.ref.Size) }

// Close closes the file. It does nothing on a nil *Blob.
func (b *Blob) Close() error {
	if b == nil {
		return nil
	}
	return b.file.Close()
}

// Link hard-links the blob into a directory, or copies it if that fails, so that it outlives the
// cache and the Blob. Use it for work directories only, not for outputs: only the user can read the
// file, and modifying it corrupts the cache.
func (b *Blob) Link(dir string) (string, error) {
	file := filepath.Join(dir, "cached-"+rand.Text())
	if os.Link(b.path, file) == nil {
		// Another blob may have replaced this one.
		linked, err := os.Lstat(file)
		if held, heldErr := b.file.Stat(); err == nil && heldErr == nil && os.SameFile(linked, held) {
			return file, nil
		}
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	return file, b.copyTo(file)
}

func (b *Blob) copyTo(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, b.Reader())
	if err == nil && n != b.ref.Size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("blob %s: %w", b.ref.Digest, err), os.Remove(file))
	}
	return nil
}

// readBlob opens a blob and verifies it. The error is errSpoiled if the blob is missing or corrupt.
func (c *Cache) readBlob(ctx context.Context, ref blobRef) (_ *Blob, err error) {
	f, info, err := c.open(ref.name())
	if errors.Is(err, os.ErrNotExist) {
		return nil, errSpoiled
	}
	if err == nil {
		defer func() {
			if err != nil {
				err = errors.Join(err, f.Close())
			}
		}()
		err = verify(ctx, f, info.Size(), ref)
	}
	if errors.Is(err, errSpoiled) {
		c.remove(ref.name())
	}
	if err != nil {
		return nil, err
	}
	return &Blob{ref: ref, file: f, path: filepath.Join(c.dir, ref.name())}, nil
}

// verify reads a blob to its end.
func verify(ctx context.Context, r io.Reader, size int64, ref blobRef) error {
	if size != ref.Size {
		return errSpoiled
	}
	sum, buf := sha256.New(), make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		sum.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(errSpoiled, err)
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != ref.Digest.Hex {
		return errSpoiled
	}
	return nil
}
