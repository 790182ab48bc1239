package engine

import (
	"context"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/once"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// Run is the state that all images of a run share: the work directory, the cache, and the results
// of reading. Built and downloaded layers are in the work directory, which the caller must keep as
// long as they are in use.
type Run struct {
	options  Options
	blobs    blobs
	kept     kept
	reports  once.Map[*image.Layer, *report]
	measured once.Map[*image.Module, flatten.Facts]

	mu     sync.Mutex
	warned map[string]bool
	grown  map[string]bool // titles of built layers
}

// NewRun returns a run with these options and their defaults.
func NewRun(o Options) *Run {
	return &Run{
		options: o, blobs: blobs{dir: o.WorkDir}, kept: kept{cache: o.Cache, dir: o.WorkDir},
		warned: map[string]bool{}, grown: map[string]bool{},
	}
}

// isFirst reports whether no layer with this title was built before.
func (r *Run) isFirst(title string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := !r.grown[title]
	r.grown[title] = true
	return is
}

// Warn logs a warning, once per run.
func (r *Run) Warn(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.warned[message] {
		r.warned[message] = true
		r.options.Log.Warn(message)
	}
}

// measure reads a module, once per run, and returns its facts.
func (r *Run) measure(ctx context.Context, m *image.Module) (flatten.Facts, error) {
	return r.measured.Do(m, func() (flatten.Facts, error) {
		return layer.Measure(ctx, layer.Member{Ref: m.Ref(), Piece: m.Piece})
	})
}

// Maker resolves and builds the layers of one image.
type Maker struct {
	*Run
	previous *previous // nil if there is none
}

// Maker opens the previous image for a target, and returns a [Maker] for the image that replaces
// it.
func (r *Run) Maker(ctx context.Context, open *source.Opener, target flatten.Target) (*Maker, error) {
	return r.MakerAhead(ctx, open, target)()
}

// MakerAhead begins to open the previous image, and returns a function that waits for it and returns
// what [Run.Maker] does.
func (r *Run) MakerAhead(ctx context.Context, open *source.Opener, target flatten.Target) func() (*Maker, error) {
	wait := Ahead(func() (*previous, error) { return openPrevious(ctx, open, r.options.Previous, target) })
	return func() (*Maker, error) {
		p, err := wait()
		if p, err = r.options.Previous.orNone(ctx, p, err, r.options.Log); err != nil {
			return nil, err
		}
		return &Maker{Run: r, previous: p}, nil
	}
}

// note logs the result for a layer.
func (r *Run) note(verb progress.Verb, l v1.Layer, title string) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	digest, err := l.Digest()
	if err == nil {
		r.options.Log.Note(verb, progress.Subject{Name: title, Digest: digest.String()}, size)
	}
	return err
}
