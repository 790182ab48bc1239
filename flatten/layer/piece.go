package layer

import (
	"context"
	"io"

	"laminate/flatten"
)

// Piece is one module's content as tar entries, without an archive trailer.
type Piece interface {
	// WriteEntries writes the entries to w, the same bytes at every call, or returns an error that
	// names the source. It may be called more than once, and concurrently with other pieces.
	WriteEntries(ctx context.Context, w io.Writer) error
}

// LengthOf returns the length of a piece in bytes of tar, if it is known without reading the piece,
// as it is for pieces in normal form.
func LengthOf(p Piece) (length int64, known bool) {
	t, known := p.(*tree)
	if !known {
		return 0, false
	}
	return t.length(), true
}

// Facts describe a piece that has been read.
type Facts = flatten.Facts
