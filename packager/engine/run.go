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

// Run is what all images of one run share: the work directory, the cache, and
// what was found out by reading. What it builds or fetches stays in the work
// directory, which has to be there as long as the layers are in use.
type Run struct {
	options  Options
	blobs    blobs
	kept     kept
	reports  once.Map[*image.Layer, *report]
	measured once.Map[*image.Module, flatten.Facts]

	mu     sync.Mutex
	warned map[string]bool
}

// NewRun returns a run with these options, whose defaults are filled in.
func NewRun(o Options) *Run {
	return &Run{
		options: o, blobs: blobs{dir: o.WorkDir}, kept: kept{cache: o.Cache, dir: o.WorkDir},
		warned: map[string]bool{},
	}
}

// Warn logs a warning, once in the run.
func (r *Run) Warn(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.warned[message] {
		r.warned[message] = true
		r.options.Log.Warn(message)
	}
}

// measure returns what reading a module whole finds, and reads it once.
func (r *Run) measure(ctx context.Context, m *image.Module) (flatten.Facts, error) {
	return r.measured.Do(m, func() (flatten.Facts, error) {
		return layer.Measure(ctx, layer.Member{Ref: m.Ref(), Piece: m.Piece})
	})
}

// Maker resolves and makes the layers of one image.
type Maker struct {
	*Run
	previous *previous // nil where there is none
}

// Maker opens the previous image for a target, and returns what makes the
// layers of the image that replaces it.
func (r *Run) Maker(ctx context.Context, open *source.Opener, target flatten.Target) (*Maker, error) {
	p, err := openPrevious(ctx, open, r.options.Previous, target, r.options.Log)
	if err != nil {
		return nil, err
	}
	return &Maker{Run: r, previous: p}, nil
}

// note logs what became of a layer.
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
