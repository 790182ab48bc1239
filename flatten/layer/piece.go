package layer

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

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
type Facts struct {
	Ref flatten.Ref
	// ContentID is the diffID of the layer that would hold this piece alone.
	ContentID v1.Hash
	// Length is the piece's length in bytes, uncompressed, without a trailer.
	Length int64
}
