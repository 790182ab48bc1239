package smoke

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"laminate/packager/image"
)

// contentLimit is the maximum size of a file whose content is looked at.
const contentLimit = 16 << 20

// wanted is a path, and a pattern for the content; nil if the content does not matter.
type wanted struct {
	path    string
	pattern *regexp.Regexp
}

// files are the files of an image, and which of their contents match.
type files struct {
	*tree
	read map[blob]content
}

// content is what is known of the content of a regular file.
type content struct {
	matches map[*regexp.Regexp]bool
	start   string
	tooBig  bool
}

// readFiles reads the layers of an image once, the lowest first, and those again that have a
// content that is wanted by another name: of a link. It keeps no content.
func readFiles(ctx context.Context, layers []*image.Layer, all []wanted) (files, error) {
	f := files{tree: newTree(), read: map[blob]content{}}
	byPath := map[string][]*regexp.Regexp{}
	for _, w := range all {
		if w.pattern != nil {
			byPath[w.path] = append(byPath[w.path], w.pattern)
		}
	}
	for i, l := range layers {
		err := f.layer(ctx, l, i+1, func(name string) []*regexp.Regexp { return byPath[name] }, f.add)
		if err != nil {
			return f, err
		}
	}
	again := map[int]map[string][]*regexp.Regexp{}
	for _, w := range all {
		n := f.find(w.path)
		if w.pattern == nil || n == nil || n.typeflag != tar.TypeReg || n.content.name == w.path {
			continue
		}
		if again[n.content.layer] == nil {
			again[n.content.layer] = map[string][]*regexp.Regexp{}
		}
		names := again[n.content.layer]
		// The entry may have been read, for another expectation.
		names[n.content.name] = append(names[n.content.name], append(byPath[n.content.name], w.pattern)...)
	}
	for number, names := range again {
		err := f.layer(ctx, layers[number-1], number, func(name string) []*regexp.Regexp { return names[name] }, nil)
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// layer reads a layer of the number, from 1. It calls add, if any, for its entries, and matches the
// contents of those for which patterns returns any.
func (f *files) layer(ctx context.Context, l *image.Layer, number int, patterns func(name string) []*regexp.Regexp, add func(*tar.Header, int) error) (err error) {
	rc, err := l.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	for tr := tar.NewReader(rc); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, rc) // only a layer that is read to its end is verified
			return err
		}
		if err == nil && add != nil {
			err = add(h, number)
		}
		if err != nil {
			return l.Named(fmt.Errorf("reading the layer's tar: %w", err))
		}
		name := clean(h.Name)
		if all := patterns(name); len(all) > 0 && h.Typeflag == tar.TypeReg {
			if f.read[blob{number, name}], err = readContent(tr, h.Size, all); err != nil {
				return l.Named(err)
			}
		}
	}
}

// readContent reads the content of a file.
func readContent(r io.Reader, size int64, patterns []*regexp.Regexp) (content, error) {
	if size > contentLimit {
		return content{tooBig: true}, nil
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return content{}, err
	}
	c := content{matches: map[*regexp.Regexp]bool{}, start: string(data[:min(len(data), 2*excerptLength)])}
	for _, p := range patterns {
		c.matches[p] = p.Match(data)
	}
	return c, nil
}
