package inflate

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// A TrailingError reports bytes after the last member that are not a member. All content before
// them was read and verified. It wraps gzip.ErrHeader, which the standard library returns in this
// case.
type TrailingError struct {
	// Bytes is the number of bytes up to the end of the stream.
	Bytes int64
	// Zeros reports whether all of them are zeros: padding, as tapes and block
	// devices leave it. The gzip command ignores it; container engines do not.
	Zeros bool
}

func (e *TrailingError) Error() string {
	if e.Zeros {
		return fmt.Sprintf("invalid gzip stream: %d zero bytes after its end; cut them off", e.Bytes)
	}
	return fmt.Sprintf("invalid gzip stream: %d bytes after its end that are not gzip; cut them off", e.Bytes)
}

func (e *TrailingError) Unwrap() error { return gzip.ErrHeader }

// readTrailing discards everything up to the end of the stream, without holding it.
func (c *Cutter) readTrailing() error {
	if c.in.pos == len(c.in.buf) && !c.in.more() {
		if errors.Is(c.in.err, io.EOF) {
			return c.trailing
		}
		return c.in.err
	}
	rest := c.in.buf[c.in.pos:]
	c.trailing.Bytes += int64(len(rest))
	c.trailing.Zeros = c.trailing.Zeros && !slices.ContainsFunc(rest, func(b byte) bool { return b != 0 })
	c.in.buf = c.in.buf[:c.in.pos]
	return nil
}
