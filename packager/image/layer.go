package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// Layer is a layer of an image. Compressed verifies digest and size while streaming, Uncompressed
// also the diffID; errors come at the end of the stream, instead of io.EOF, and name the source and
// the layer. Streams that are not read to the end are not verified.
type Layer struct {
	v1.Layer // unverified
	// Diff is the diffID in the config.
	Diff v1.Hash
	// Stored reports whether the source holds the layer as a blob of a known digest. If not (Docker
	// archives and the daemon), Digest, Size and Compressed compress the layer first; use
	// Uncompressed.
	Stored bool
	// Compression is that of the blob, by its media type; every read verifies it.
	Compression layer.Compression
	// Refs are the refs in the layer according to the layers label, sorted.
	Refs []flatten.Ref
	// Facts are the layer's pieces according to laminate's own label, or nil.
	Facts []layer.Facts
	// Mountable is the reference in a registry from whose repository the blob can be mounted, or
	// nil.
	Mountable name.Reference

	image *Image
	// descriptor is what the manifest says of a stored layer. The library's layers parse the whole manifest
	// each time they are asked.
	descriptor v1.Descriptor
}

// Reuse returns the layer for another image. It is verified on every read, and mounted if it is
// written to the registry that it comes from.
func (l *Layer) Reuse() v1.Layer {
	if l.Mountable == nil {
		return l
	}
	return &remote.MountableLayer{Layer: l, Reference: l.Mountable}
}

// DiffID implements v1.Layer.
func (l *Layer) DiffID() (v1.Hash, error) { return l.Diff, nil }

// Digest implements v1.Layer.
func (l *Layer) Digest() (v1.Hash, error) {
	if !l.Stored {
		return l.Layer.Digest()
	}
	return l.descriptor.Digest, nil
}

// Size implements v1.Layer, with the size in the manifest.
func (l *Layer) Size() (int64, error) {
	if !l.Stored {
		return l.Layer.Size()
	}
	return l.descriptor.Size, nil
}

// MediaType implements v1.Layer.
func (l *Layer) MediaType() (types.MediaType, error) {
	if !l.Stored {
		return l.Layer.MediaType()
	}
	return l.descriptor.MediaType, nil
}

// Descriptor returns the layer's media type, size and digest. It omits the rest (URLs, annotations,
// data), which must not be copied to other images.
func (l *Layer) Descriptor() (*v1.Descriptor, error) {
	d := &l.descriptor
	if !l.Stored {
		var err error
		if d, err = partial.Descriptor(l.Layer); err != nil {
			return nil, err
		}
	}
	return &v1.Descriptor{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest}, nil
}

// File returns the path of the blob in an OCI layout, or "" if the layer is not in one.
func (l *Layer) File() string {
	digest, err := l.Digest()
	if l.image.raw.LayoutDir == "" || err != nil || digest.Algorithm != "sha256" {
		return ""
	}
	return filepath.Join(l.image.raw.LayoutDir, "blobs", "sha256", digest.Hex)
}

// Within returns an error if content bytes, unpacked from packed bytes, exceed the limits.
func (l *Layer) Within(content, packed int64) error {
	return l.image.raw.Limits.Check(content, max(packed, 1))
}

// Exists reports whether the registry still has the layer.
func (l *Layer) Exists() (bool, error) { return partial.Exists(l.Layer) }

// Check verifies the layer in its source as far as needed before it is replaced by an equal one: it
// reads a layer of a Docker archive to the end, and checks that a blob of an OCI layout exists and
// has its size. It does nothing for registries and the Docker daemon.
func (l *Layer) Check(ctx context.Context) error {
	if l.image.raw.Remote || l.image.raw.Saved {
		return nil
	}
	if l.Stored {
		rc, err := l.Layer.Compressed()
		if err != nil {
			return l.wrong(err)
		}
		return rc.Close()
	}
	rc, err := l.Open(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stream.WithContext(ctx, rc))
	return errors.Join(err, rc.Close())
}

// Compressed implements v1.Layer.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	if !l.Stored {
		rc, err := l.Layer.Compressed()
		return rc, l.wrong(err)
	}
	return l.blob(l.image.ctx)
}

// Uncompressed implements v1.Layer.
func (l *Layer) Uncompressed() (io.ReadCloser, error) { return l.Open(l.image.ctx) }

// Open opens the layer's tar and verifies its diffID. The caller must close it. Reading ends with
// ctx.
func (l *Layer) Open(ctx context.Context) (io.ReadCloser, error) {
	if !l.Stored {
		rc, err := l.Layer.Uncompressed()
		if err != nil {
			return nil, l.wrong(err)
		}
		return l.unpacked(rc, rc, nil), nil
	}
	blob, err := l.blob(ctx)
	if err != nil {
		return nil, err
	}
	return l.Unpack(blob)
}

// Unpack returns the tar in an open blob of the layer, and verifies its diffID. Closing it closes
// the blob.
func (l *Layer) Unpack(blob io.ReadCloser) (io.ReadCloser, error) {
	packed := &stream.Counted{Reader: blob}
	if l.Compression == layer.Uncompressed {
		return l.unpacked(packed, blob, nil), nil
	}
	rc, err := l.Compression.Decompress(packed)
	if err != nil {
		return nil, errors.Join(l.wrong(err), blob.Close())
	}
	return l.unpacked(rc, stream.Unpacker{Decompressor: rc, Packed: blob}, packed), nil
}

func (l *Layer) unpacked(r io.Reader, c io.Closer, packed *stream.Counted) *unpackedLayer {
	return &unpackedLayer{
		layer: l, Closer: c, sum: stream.NewHash(), packed: packed,
		r: stream.Within(l.image.raw.Limits, stream.WithContext(l.image.ctx, r), packed),
	}
}

// blob opens the layer's blob, and verifies digest, size and compression.
func (l *Layer) blob(ctx context.Context) (io.ReadCloser, error) {
	rc, err := l.Layer.Compressed() // verified by the store
	if err != nil {
		return nil, l.wrong(err)
	}
	r := bufio.NewReaderSize(stream.WithContext(ctx, stream.WithContext(l.image.ctx, rc)), 64<<10)
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(l.wrong(err), rc.Close())
	}
	if is := CompressionIn(magic); is != l.Compression && err == nil {
		return nil, errors.Join(l.wrong(fmt.Errorf("media type says %s, but blob is %s", said(l.Compression), said(is))), rc.Close())
	}
	size, err := l.Size()
	if err != nil {
		return nil, errors.Join(l.wrong(err), rc.Close())
	}
	verb := progress.Reading
	if l.image.raw.Remote {
		verb = progress.Downloading
	}
	return &blobReader{layer: l, r: r, Closer: rc, task: l.image.raw.Log.Start(verb, l.subject(), size)}, nil
}

// subject names the layer for progress: by its refs, or by its digest.
func (l *Layer) subject() progress.Subject {
	digest := l.Diff
	if l.Stored {
		if d, err := l.Digest(); err == nil {
			digest = d
		}
	}
	s := progress.Subject{Name: fmt.Sprintf("layer %.12s", digest.Hex), Digest: digest.String()}
	switch len(l.Refs) {
	case 0:
	case 1:
		s.Name = l.Refs[0].String()
	default:
		s.Name = fmt.Sprintf("%s and %d more", l.Refs[0], len(l.Refs)-1)
	}
	return s
}

// layerError names the source and the layer.
type layerError struct {
	error
	cause error // without the names
}

func (e layerError) Unwrap() error { return e.error }

// Cause returns an error of reading a layer without the names of image and layer.
func Cause(err error) error {
	var named layerError
	if errors.As(err, &named) {
		return named.cause
	}
	return err
}

// DiffIDError reports that the tar of a layer has another digest than the config says.
type DiffIDError struct{ Got, Want v1.Hash }

func (e *DiffIDError) Error() string {
	return fmt.Sprintf("diffID is %s, config says %s", e.Got, e.Want)
}

// IsNamed reports whether an error names the image and the layer already.
func IsNamed(err error) bool { return errors.As(err, new(layerError)) }

// Named adds the names of the image and the layer to an error about its content, once.
func (l *Layer) Named(err error) error { return l.wrong(err) }

// wrong adds the names of source and layer to an error, once.
func (l *Layer) wrong(err error) error {
	var told layerError
	if err == nil || errors.As(err, &told) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := l.Diff
	if l.Stored {
		if d, err := l.Digest(); err == nil {
			what = d
		}
	}
	return layerError{l.image.raw.Error(fmt.Errorf("layer %s: %w", what, err)), err}
}

// compressionOf returns the compression of a layer's media type.
func compressionOf(mediaType types.MediaType) (layer.Compression, error) {
	switch mediaType {
	case types.DockerLayer, types.OCILayer:
		return layer.Gzip, nil
	case types.OCILayerZStd, "application/vnd.docker.image.rootfs.diff.tar.zstd":
		return layer.Zstd, nil
	case types.DockerUncompressedLayer, types.OCIUncompressedLayer:
		return layer.Uncompressed, nil
	case types.DockerForeignLayer, types.OCIRestrictedLayer, types.OCIUncompressedRestrictedLayer:
		return "", fmt.Errorf("layers of media type %s must not be redistributed", mediaType)
	}
	return "", fmt.Errorf("unsupported media type %q", mediaType)
}

// CompressionIn returns the compression of a blob, by its first four bytes.
func CompressionIn(magic []byte) layer.Compression {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return layer.Gzip
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}): // a skippable frame
		return layer.Zstd
	}
	return layer.Uncompressed
}

func said(c layer.Compression) string {
	if c == layer.Uncompressed {
		return "not compressed"
	}
	return "compressed with " + string(c)
}
