package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
)

// Tars gives what a location holds as uncompressed tar streams: one for an
// archive, one for each layer of an image, the lowest first. Streams are
// checked as layers are, and bounded by the Limits.
func (o *Opener) Tars(ctx context.Context, loc location.Location, target flatten.Target) ([]layer.Opener, error) {
	if loc.Kind == location.Path || loc.Kind == location.HTTP {
		local, err := o.local(ctx, loc)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(local)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", loc, err)
		}
		if !info.IsDir() {
			a, err := o.archive(ctx, local, loc.String())
			if err != nil {
				return nil, err
			}
			if !a.isOCI() && !a.isDocker() {
				return []layer.Opener{func(ctx context.Context) (io.ReadCloser, error) { return o.openTar(ctx, local, loc.String()) }}, nil
			}
		}
	}
	img, err := o.open(ctx, loc, target)
	if err != nil {
		return nil, err
	}
	layers, err := img.layers()
	if err != nil {
		return nil, err
	}
	var tars []layer.Opener
	for _, l := range layers {
		tars = append(tars, l.open)
	}
	return tars, nil
}

// openTar reads a tar file, compressed or not.
func (o *Opener) openTar(ctx context.Context, file, name string) (io.ReadCloser, error) {
	listed, err := listOriginal(file)
	if err != nil {
		return nil, err
	}
	f, err := listed.open(0, listed.info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	packed := &counted{Reader: interruptible{ctx, f}}
	head := bufio.NewReaderSize(packed, 64<<10)
	magic, err := head.Peek(4)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	r, err := compressionIn(magic).Decompress(head)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return readCloser{&bounded{counted: counted{Reader: r}, packed: packed, limits: o.Limits.orDefault()}, unpacker{r, f}}, nil
}
