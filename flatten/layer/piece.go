package layer

import (
	"context"
	"io"

	"laminate/flatten"
)

// Piece is one module's content as tar entries, without an archive trailer.
type Piece interface {
	// WriteEntries writes the entries to w, the same bytes at every call, or
	// returns an error that names the source. It may be called more than once,
	// and side by side with other pieces.
	WriteEntries(ctx context.Context, w io.Writer) error
}

// Facts is what is known of a piece once it has been read.
type Facts = flatten.Facts
