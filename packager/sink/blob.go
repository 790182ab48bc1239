package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/progress"
)

// A blob is a content-addressed part of an image.
type blob struct {
	what   string // manifest, config or layer
	digest v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
	layer  v1.Layer // nil except for layers
	// home is a repository that may have the config, since the topmost layer comes from it; nil for
	// others.
	home name.Reference
	// absent is true if the repository is known not to have the blob.
	absent bool
}

// String names the blob in messages.
func (b blob) String() string { return b.what + " " + b.digest.String() }

// subject names the blob in progress.
func (b blob) subject() progress.Subject {
	return progress.Subject{Name: fmt.Sprintf("%s %.12s", b.what, b.digest.Hex), Digest: b.digest.String()}
}

// A blobError is an unreadable or corrupt blob: an error of the input, not of the output.
type blobError struct {
	blob fmt.Stringer
	err  error
}

func (e *blobError) Error() string { return fmt.Sprintf("%s: %v", e.blob, e.err) }
func (e *blobError) Unwrap() error { return e.err }

// read opens the blob. The reader returns exactly its bytes, or an error before the last of them.
// It ends with ctx; the caller must close it.
func (b blob) read(ctx context.Context) (io.ReadCloser, error) {
	if b.digest.Algorithm != "sha256" {
		return nil, &blobError{b, errors.New("unsupported algorithm; use sha256")}
	}
	r, err := b.open()
	if err != nil {
		return nil, &blobError{b, err}
	}
	return &checked{ctx: ctx, from: r, sum: sha256.New(), want: b.digest.Hex, left: b.size, blob: b}, nil
}

// check verifies the blob.
func (b blob) check(ctx context.Context) error {
	r, err := b.read(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// writeTo writes the blob to w. It logs layers.
func (b blob) writeTo(ctx context.Context, w io.Writer, log progress.Log) error {
	j := b.writing(log)
	err := j.copyTo(ctx, w)
	j.end(err)
	return err
}

// writing returns a journey of the blob into a file. It logs layers.
func (b blob) writing(log progress.Log) *journey {
	if b.layer == nil {
		log = progress.Discard
	}
	return &journey{blob: b, verb: progress.Writing, log: log}
}

type checked struct {
	ctx  context.Context
	from io.ReadCloser
	sum  hash.Hash
	want string
	left int64
	blob fmt.Stringer
	err  error
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err == nil {
		c.err = c.ctx.Err()
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err := c.from.Read(p[:min(int64(len(p)), max(c.left, 1))])
	if int64(n) > c.left {
		c.err = c.is("longer than its size")
		return 0, c.err
	}
	c.sum.Write(p[:n])
	c.left -= int64(n)
	switch {
	case err != nil && err != io.EOF:
		c.err = &blobError{c.blob, err}
	case c.left > 0 && err == io.EOF:
		c.err = c.is(fmt.Sprintf("%d bytes shorter than its size", c.left))
	case c.left == 0:
		c.err = c.end(err)
	}
	if c.err != nil && c.err != io.EOF {
		return 0, c.err
	}
	return n, c.err
}

// end verifies size and digest at the end of the blob, and returns io.EOF on success. It runs
// before the last bytes are returned, so that a consumer that got all bytes, such as a registry
// that responds at once, never got a corrupt blob.
func (c *checked) end(err error) error {
	for err == nil {
		var n int
		if n, err = c.from.Read(make([]byte, 1)); n > 0 {
			return c.is("longer than its size")
		}
	}
	if err != io.EOF {
		return &blobError{c.blob, err}
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.want {
		return &blobError{c.blob, fmt.Errorf("content is sha256:%s", got)}
	}
	return io.EOF
}

func (c *checked) is(what string) error { return &blobError{c.blob, errors.New(what)} }

func (c *checked) Close() error {
	if err := c.from.Close(); err != nil {
		return &blobError{c.blob, err}
	}
	return nil
}

// A journey is the transfer of a blob to one destination, possibly in several attempts. Its task
// begins with the first read, and bytes that are sent again are not counted again.
type journey struct {
	blob blob
	verb progress.Verb
	log  progress.Log

	mu   sync.Mutex
	task progress.Task
	most int64
}

// open starts an attempt.
func (j *journey) open(ctx context.Context) (io.ReadCloser, error) {
	r, err := j.blob.read(ctx)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.task == nil {
		j.task = j.log.Start(j.verb, j.blob.subject(), j.blob.size)
	}
	return &attempt{ReadCloser: r, of: j}, nil
}

// copyTo is an attempt that writes the blob to w.
func (j *journey) copyTo(ctx context.Context, w io.Writer) error {
	r, err := j.open(ctx)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 256<<10))
	return errors.Join(err, r.Close())
}

// end logs the result. A blob that was never read existed already.
func (j *journey) end(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.task != nil:
		j.task.Done(err)
	case err == nil:
		j.log.Note(progress.Reused, j.blob.subject(), j.blob.size)
	}
}

type attempt struct {
	io.ReadCloser
	of   *journey
	done int64
}

func (a *attempt) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	a.done += int64(n)
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if a.done > a.of.most {
		a.of.task.Add(a.done - a.of.most)
		a.of.most = a.done
	}
	return n, err
}
