package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/once"
)

// blobs keeps downloaded layers in the work directory of a run.
type blobs struct {
	dir   string
	count int64
	paths once.Map[v1.Hash, string] // of downloaded blobs, by digest
}

// localLayer is a layer of a source whose blob is local.
type localLayer struct {
	*image.Layer
	path string // "" if the source itself is local
}

// local downloads a layer's blob, unless it is local. The blob is read and verified only once.
func (b *blobs) local(ctx context.Context, l *image.Layer) (*localLayer, error) {
	if l.Mountable == nil {
		return &localLayer{Layer: l}, nil
	}
	digest, err := l.Digest()
	if err != nil {
		return nil, err
	}
	path, err := b.paths.Do(digest, func() (string, error) {
		path := b.next()
		if err := download(ctx, l, path); err != nil {
			return "", errors.Join(err, os.Remove(path))
		}
		return path, nil
	})
	if err != nil {
		return nil, err
	}
	return &localLayer{Layer: l, path: path}, nil
}

// fetched returns the layer if its blob was downloaded before, or nil.
func (b *blobs) fetched(l *image.Layer) *localLayer {
	if l.Mountable == nil { // asking for its digest could mean to compress it
		return nil
	}
	digest, err := l.Digest()
	if err != nil {
		return nil
	}
	path, here := b.paths.Get(digest)
	if !here {
		return nil
	}
	return &localLayer{Layer: l, path: path}
}

func download(ctx context.Context, l v1.Layer, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	rc, err := l.Compressed()
	if err == nil {
		_, err = io.Copy(f, rc)
		err = errors.Join(err, rc.Close(), context.Cause(ctx))
	}
	return errors.Join(err, f.Close())
}

// Compressed opens the blob, which was verified when it was downloaded.
func (l *localLayer) Compressed() (io.ReadCloser, error) {
	if l.path == "" {
		return l.Layer.Compressed()
	}
	return os.Open(l.path)
}

// Uncompressed opens the tar, and verifies it like the source.
func (l *localLayer) Uncompressed() (io.ReadCloser, error) {
	if l.path == "" {
		return l.Layer.Uncompressed()
	}
	blob, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	return l.Unpack(blob)
}

// open opens the tar; it is a [layer.Opener].
func (l *localLayer) open(context.Context) (io.ReadCloser, error) { return l.Uncompressed() }

// piece returns the content of the only module in the layer.
func (l *localLayer) piece(m *image.Module) layer.Piece {
	return layer.FromLayer(m.Kind, m.Ref(), m.Source, l.open)
}

// reuse returns the layer for another image.
func (l *localLayer) reuse() v1.Layer {
	if l.Mountable == nil {
		return l.Layer
	}
	return &remote.MountableLayer{Layer: l, Reference: l.Mountable}
}

// next returns the path of a new file in the work directory.
func (b *blobs) next() string {
	return filepath.Join(b.dir, fmt.Sprintf("layer-%d", atomic.AddInt64(&b.count, 1)))
}
