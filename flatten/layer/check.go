package layer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"laminate/flatten"
)

// check reads a layer back while it is written.
type check struct {
	pipe   *io.PipeWriter
	result chan error
	refs   []flatten.Ref
	found  inspection
}

var quickSeed = maphash.MakeSeed()

func newQuick() *maphash.Hash {
	var h maphash.Hash
	h.SetSeed(quickSeed)
	return &h
}

func startCheck(ctx context.Context, kind flatten.Kind, members []Member) *check {
	r, w := io.Pipe()
	c := &check{pipe: w, result: make(chan error, 1)}
	for _, m := range members {
		c.refs = append(c.refs, m.Ref)
	}
	go func() {
		// The reader stays open, so that the writer gets the error.
		open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
		err := c.found.read(ctx, kind, c.refs, open)
		r.CloseWithError(err)
		c.result <- err
	}()
	return c
}

func (c *check) Write(p []byte) (int, error) { return c.pipe.Write(p) }

// end returns the pieces that were read back, or the error of writing, or a [BugError] if the two
// differ.
func (c *check) end(err error, written []passed) ([]flatten.Facts, error) {
	c.pipe.CloseWithError(err)
	found := <-c.result
	bug := func(s string) error { return &BugError{Refs: c.refs, Detail: s} }
	switch {
	case err != nil && !errors.Is(err, found):
		return nil, err
	case found != nil:
		return nil, bug(found.Error())
	case c.found.nonCanonical != "":
		return nil, bug(c.found.nonCanonical)
	case !c.is(written):
		return nil, bug(fmt.Sprintf("it holds %v, expected %v", c.found.order, c.refs))
	}
	return c.found.facts(), nil
}

// is reports whether the pieces that were read back equal those that were written, in the same
// order.
func (c *check) is(written []passed) bool {
	if len(written) != len(c.found.order) {
		return false
	}
	for i, r := range c.found.order {
		t := c.found.tallies[r]
		if p := written[i]; p.ref != r || p.length != t.length || p.sum != t.quick.Sum64() {
			return false
		}
	}
	return true
}
