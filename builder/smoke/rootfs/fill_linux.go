package rootfs

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/packager/image"
)

// errOrder reports that a layer has to be applied after all lower ones, although its label says
// that it holds buildpacks only.
var errOrder = errors.New("layer has other files than those of its buildpacks")

// fill unpacks an image into an empty directory.
//
// Layers of buildpacks are written at the same time: their directories differ. A layer among them
// that has other entries, or links, which may lead elsewhere, is noticed before that entry is
// written. Then everything is unpacked again, in order.
func fill(ctx context.Context, img *image.Image, dir string, o Options) (Facts, error) {
	facts, err := fillRuns(ctx, runs(img.Contents(), directories(img)), dir, o)
	if errors.Is(err, errOrder) {
		if err := empty(dir); err != nil {
			return Facts{}, err
		}
		facts, err = fillRuns(ctx, runs(img.Contents(), nil), dir, o)
	}
	return facts, err
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// run is a sequence of layers that are written in order, or at the same time.
type run struct {
	layers []*image.Layer
	own    []*own // for each layer, if written at the same time
}

// own is what a layer of buildpacks may write to, as paths without a leading slash.
type own struct {
	dirs  map[string]bool // the directories of the buildpacks
	above map[string]bool // the directories above them
}

// levels is the number of components of a buildpack's directory: cnb/buildpacks/ID/VERSION.
const levels = 4

// inside reports whether a path is in the directory of one of the buildpacks, or is one.
func (o *own) inside(p string) bool {
	for i, n := 0, 0; i < len(p); i++ {
		if p[i] == '/' {
			if n++; n == levels {
				return o.dirs[p[:i]]
			}
		}
	}
	return o.dirs[p]
}

// directories returns what layers of buildpacks and extensions may write to, by the image's labels.
// Labels that are wrong matter no more than that layers are written in order.
func directories(img *image.Image) map[*image.Layer]*own {
	all := map[*image.Layer]*own{}
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		modules, err := img.Found(kind)
		if err != nil && len(modules) == 0 {
			continue
		}
		for _, m := range modules {
			if m.Layer == nil {
				continue
			}
			o := all[m.Layer]
			if o == nil {
				o = &own{map[string]bool{}, map[string]bool{}}
				all[m.Layer] = o
			}
			dir := clean(kind.Dir(m.Ref()))
			o.dirs[dir] = true
			for p := parent(dir); p != ""; p = parent(p) {
				o.above[p] = true
			}
		}
	}
	for l, o := range all {
		for dir := range o.dirs {
			if strings.Count(dir, "/") != levels-1 {
				delete(all, l)
			}
		}
	}
	return all
}

// runs divides the layers into runs. A run that is written at the same time has layers without a
// common directory.
func runs(layers []*image.Layer, ownOf map[*image.Layer]*own) []run {
	var all []run
	var taken map[string]bool
	for _, l := range layers {
		o := ownOf[l]
		begin := len(all) == 0 || (o == nil) != (all[len(all)-1].own == nil)
		if o != nil && !begin {
			for dir := range o.dirs {
				begin = begin || taken[dir]
			}
		}
		if begin {
			all, taken = append(all, run{}), map[string]bool{}
		}
		r := &all[len(all)-1]
		r.layers = append(r.layers, l)
		if o != nil {
			r.own = append(r.own, o)
			for dir := range o.dirs {
				taken[dir] = true
			}
		}
	}
	return all
}

// fillRuns unpacks runs of layers into an empty directory.
func fillRuns(ctx context.Context, all []run, dir string, o Options) (Facts, error) {
	t, err := newTree(dir, o.Limits)
	if err != nil {
		return Facts{}, err
	}
	defer t.close()
	for _, r := range all {
		if r.own == nil {
			err = t.inOrder(ctx, r.layers, o.Jobs)
		} else {
			err = t.together(ctx, r, o.Jobs)
		}
		if err != nil {
			return Facts{}, err
		}
	}
	facts, err := t.finish(dir)
	facts.Skipped = t.skipped.Load()
	return facts, err
}

// inOrder writes layers in order. The next ones are read ahead meanwhile.
func (t *tree) inOrder(ctx context.Context, layers []*image.Layer, jobs int) error {
	var feeds []*feed
	defer func() {
		for _, f := range feeds {
			f.Close()
		}
	}()
	for i, l := range layers {
		for n := len(feeds); n < min(i+jobs, len(layers)); n++ {
			feeds = append(feeds, newFeed(ctx, layers[n]))
		}
		if _, err := t.layer(l, feeds[i], nil); err != nil {
			return err
		}
	}
	return nil
}

// together writes layers of buildpacks at the same time, large ones first. The highest layer with
// an entry for a directory above the buildpacks determines its mode and time.
func (t *tree) together(ctx context.Context, r run, jobs int) error {
	order := make([]int, len(r.layers))
	sizes := make([]int64, len(r.layers))
	for i, l := range r.layers {
		order[i] = i
		if l.Stored {
			sizes[i], _ = l.Size() // without it, the order is another one
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	above := make([]map[string]*tar.Header, len(r.layers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, i := range order {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			f := newFeed(ctx, r.layers[i])
			defer f.Close()
			above[i], err = t.layer(r.layers[i], f, r.own[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	w := newWriter(t, nil)
	defer w.flush()
	for _, headers := range above {
		for _, hdr := range headers {
			if err := w.entry(hdr, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// layer writes a layer, and reads it to its end, where it is verified. It returns the entries of
// directories above those of its buildpacks.
func (t *tree) layer(l *image.Layer, r io.Reader, o *own) (map[string]*tar.Header, error) {
	w := newWriter(t, o)
	defer w.flush()
	err := w.apply(tar.NewReader(r))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return w.above, l.Named(err)
}
