package source

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/stream"
)

// Tars returns the content of a location as uncompressed tar streams: one for a directory or an
// archive, one for each layer of an image, lowest first. Streams are verified like layers, and
// limited by Limits. Entries of directories and zip files get owner root and the time of layers
// that laminate builds; those of tar files are unchanged.
//
// A tar file whose first name is known is not inspected: it is not an image.
func (o *Opener) Tars(ctx context.Context, loc location.Location, target flatten.Target, known func(name string) bool) ([]layer.Opener, error) {
	if loc.Kind == location.Path || loc.Kind == location.HTTP {
		local, err := o.local(ctx, loc)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(local)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", loc, err)
		}
		if info.IsDir() && !isLayout(local) {
			files, err := readDirectory(ctx, local, nil, o.Limits.OrDefault())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", loc, err)
			}
			return []layer.Opener{asTar(files)}, nil
		}
		if !info.IsDir() {
			if o.beginsWith(ctx, local, known) {
				return []layer.Opener{func(ctx context.Context) (io.ReadCloser, error) { return o.openTar(ctx, local, nil, loc.String()) }}, nil
			}
			a, err := o.archive(ctx, local, loc.String())
			if err != nil {
				return nil, err
			}
			if !a.isOCI() && !a.isDocker() {
				return []layer.Opener{func(ctx context.Context) (io.ReadCloser, error) { return o.openTar(ctx, local, a, loc.String()) }}, nil
			}
		}
	}
	img, err := o.Image(ctx, loc, target)
	if err != nil {
		return nil, err
	}
	var tars []layer.Opener
	for _, l := range img.Contents() {
		if l.Mountable != nil {
			tars = append(tars, func(context.Context) (io.ReadCloser, error) { return o.openFetched(l) })
		} else {
			tars = append(tars, l.Open)
		}
	}
	return tars, nil
}

// openFetched returns the tar of a layer, which it downloads on first use.
func (o *Opener) openFetched(l *image.Layer) (io.ReadCloser, error) {
	digest, err := l.Digest()
	if err != nil {
		return nil, err
	}
	file, err := o.files.Do(digest.String(), func() (string, error) { return fetch(l, o.WorkDir) })
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	return l.Unpack(f)
}

// fetch downloads the blob of a layer into dir.
func fetch(l *image.Layer, dir string) (string, error) {
	if dir == "" {
		return "", errNoWorkDir
	}
	f, err := os.CreateTemp(dir, "blob-*")
	if err != nil {
		return "", err
	}
	blob, err := l.Compressed()
	if err == nil {
		_, err = io.Copy(f, blob)
		err = errors.Join(err, blob.Close())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// beginsWith reports whether a file is a tar, compressed or not, whose first file has a known name.
// It ignores errors, which later reads report.
func (o *Opener) beginsWith(ctx context.Context, file string, known func(name string) bool) bool {
	r, err := o.openTar(ctx, file, nil, file)
	if err != nil {
		return false
	}
	defer r.Close()
	tr := tar.NewReader(r)
	h, err := tr.Next()
	for err == nil && (isMeta(h) || h.Typeflag == tar.TypeDir || h.Typeflag == typeDumpDir) {
		h, err = tr.Next()
	}
	return err == nil && known(h.Name)
}

// errZip is the error for a zip file that was not listed.
var errZip = errors.New("zip file")

// openTar opens a tar file, compressed or not, or a listed zip file, as a tar.
func (o *Opener) openTar(ctx context.Context, file string, a *archive, name string) (io.ReadCloser, error) {
	listed, err := listOriginal(file)
	if err != nil {
		return nil, err
	}
	f, err := listed.open(0, listed.info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	packed := &stream.Counted{Reader: stream.WithContext(ctx, f)}
	head := bufio.NewReaderSize(packed, 64<<10)
	magic, err := head.Peek(4)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	if string(magic[:2]) == "PK" {
		if err := f.Close(); err != nil {
			return nil, err
		}
		if a == nil {
			return nil, errZip
		}
		return asTar(a.files)(ctx)
	}
	r, err := image.CompressionIn(magic).DecompressArchive(head)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return stream.ReadCloser{Reader: stream.Within(o.Limits.OrDefault(), r, packed), Closer: stream.Unpacker{Decompressor: r, Packed: f}}, nil
}

// asTar streams files as a tar.
func asTar(files []layer.File) layer.Opener {
	return func(ctx context.Context) (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			tw := tar.NewWriter(w)
			var err error
			for _, f := range files {
				if err = errors.Join(err, ctx.Err()); err == nil {
					err = writeFile(tw, f)
				}
			}
			w.CloseWithError(errors.Join(err, tw.Close()))
		}()
		return r, nil
	}
}

func writeFile(tw *tar.Writer, f layer.File) error {
	h := &tar.Header{Name: f.Path, ModTime: layer.Epoch, Mode: 0o644}
	if f.Mode.Perm()&0o111 != 0 {
		h.Mode = 0o755
	}
	switch {
	case f.Mode.IsDir():
		h.Typeflag = tar.TypeDir
	case f.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	case f.Mode.IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, f.Size
	default:
		return nil // not needed
	}
	if err := tw.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return errors.Join(err, r.Close())
}
