package verify

import (
	"context"
	"io"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// tee reads a stream, and copies it to inspections. One that ends early does not end the stream.
type tee struct {
	r     io.Reader
	n     int64
	err   error // the first, or io.EOF
	pipes []*io.PipeWriter
}

func (t *tee) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	t.n += int64(n)
	for i, w := range t.pipes {
		if w == nil || n == 0 {
			continue
		}
		if _, wrong := w.Write(p[:n]); wrong != nil {
			t.pipes[i] = nil
		}
	}
	if err != nil {
		t.err = err
		for _, w := range t.pipes {
			if w != nil {
				w.CloseWithError(err)
			}
		}
	}
	return n, err
}

// inspection reads the modules of one kind.
type inspection struct {
	kind   flatten.Kind
	report layer.Report
	err    error
	done   chan struct{}
}

// inspect starts an inspection. It ends with the stream, which must be read to its end.
func (t *tee) inspect(kind flatten.Kind, refs []flatten.Ref) *inspection {
	r, w := io.Pipe()
	t.pipes = append(t.pipes, w)
	i := &inspection{kind: kind, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
		i.report, i.err = layer.Inspect(context.Background(), kind, refs, open)
		r.Close()
	}()
	return i
}
