package flatten

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Facts describe a piece (one module's content as tar entries) that has been read.
type Facts struct {
	Ref Ref
	// ContentID is the diffID of the layer that would hold this piece alone:
	// its content identity.
	ContentID v1.Hash
	// Length is the piece's length in bytes, uncompressed, without a trailer.
	Length int64
}

// Recipe returns the digest over the content identities of a layer's pieces, in order. Layers with
// equal recipes hold equal bytes.
func Recipe(pieces []Facts) v1.Hash {
	h := sha256.New()
	for _, p := range pieces {
		io.WriteString(h, p.ContentID.String()+"\n") // a hash takes every write
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
