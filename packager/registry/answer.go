package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// copyOf returns a response with another request, and a body of its own if it is in memory.
func copyOf(resp *http.Response, req *http.Request) *http.Response {
	c := *resp
	c.Header, c.Request = resp.Header.Clone(), req
	if b, is := resp.Body.(*memory); is {
		c.Body = &memory{content: b.content, err: b.err}
	}
	return &c
}

// memory is a body in memory. Read returns its error, if it has one, instead of io.EOF.
type memory struct {
	content []byte
	err     error
	read    int
}

// Read implements io.Reader.
func (m *memory) Read(p []byte) (int, error) {
	n := copy(p, m.content[m.read:])
	m.read += n
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	if m.err != nil {
		return 0, m.err
	}
	return 0, io.EOF
}

// Close implements io.Closer.
func (m *memory) Close() error { return nil }

// withBody reads the body of a response to a request into memory, and closes it. An error of reading is
// one of the new body, unless the request has ended: that is nothing to share with other callers. It is
// for bodies that other code limits.
func withBody(ctx context.Context, resp *http.Response) (*http.Response, error) {
	var all bytes.Buffer
	_, err := io.Copy(&all, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	resp.Body = &memory{content: all.Bytes(), err: err}
	return resp, nil
}
