package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"sync"

	streaming "github.com/google/go-containerregistry/pkg/v1/stream"

	"laminate/packager/progress"
)

// streamed is a layer that is uploaded while it is written: its digest is computed as it is sent. Until
// the layer is complete, its task is that of the build; then one begins for what remains to be sent.
type streamed struct {
	growing
	ctx context.Context
	log progress.Log

	mu     sync.Mutex
	task   progress.Task // nil before
	most   int64         // bytes that an attempt has sent
	told   int64         // bytes that the task knows of
	broken bool          // the layer could not be read
	ended  bool
}

// Size implements v1.Layer. The length of what is sent is always unknown: the end of a stream says that
// it was sent as it was written, the last byte does not.
func (s *streamed) Size() (int64, error) { return 0, streaming.ErrNotComputed }

// Compressed implements v1.Layer. The reader ends with the context.
func (s *streamed) Compressed() (io.ReadCloser, error) {
	r, err := s.growing.Compressed()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(s.ctx, func() { _ = r.Close() })
	return &sending{from: r, stop: stop, of: s, sum: sha256.New()}, nil
}

// sent notes how many bytes an attempt has sent.
func (s *streamed) sent(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, n)
	if !s.ended {
		s.tell()
	}
}

// tell tells the task, if the layer is complete. The caller must hold the lock.
func (s *streamed) tell() {
	if s.task == nil {
		digest, err := s.Digest()
		if err != nil {
			return
		}
		size, err := s.growing.Size()
		if err != nil {
			return
		}
		s.task = s.log.Start(progress.Uploading, blob{what: "layer", digest: digest}.subject(), size)
	}
	s.task.Add(s.most - s.told)
	s.told = s.most
}

// end ends the task, and reports whether the layer could not be read.
func (s *streamed) end(err error) (broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.tell()
	}
	if s.ended = true; s.task != nil {
		s.task.Done(err)
	}
	return s.broken
}

// breaks notes that the layer could not be read.
func (s *streamed) breaks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
}

// sending is an attempt to send a layer that is being written. It checks that it was sent as it was
// written.
type sending struct {
	from io.ReadCloser
	stop func() bool
	of   *streamed
	sum  hash.Hash
	n    int64
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	if err == io.EOF {
		if digest, wrong := s.of.Digest(); wrong != nil || digest.Hex != hex.EncodeToString(s.sum.Sum(nil)) {
			err = errors.New("the file of the layer has changed")
		}
	}
	s.of.sent(s.n)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrClosed) { // closed by the library, or the run
		s.of.breaks()
	}
	return n, err
}

// Close implements io.Closer.
func (s *sending) Close() error {
	s.stop()
	return s.from.Close()
}
