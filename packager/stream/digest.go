package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// NewHash returns a hash for digests.
func NewHash() hash.Hash { return sha256.New() }

// Digest returns the digest of what was written to a hash.
func Digest(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// Verify returns a reader of a blob that returns an error instead of io.EOF if the digest differs.
func Verify(rc io.ReadCloser, want v1.Hash) io.ReadCloser {
	return &verified{ReadCloser: rc, want: want, hash: NewHash()}
}

type verified struct {
	io.ReadCloser
	want v1.Hash
	hash hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF {
		if got := Digest(v.hash); got != v.want {
			err = fmt.Errorf("digest is %s, expected %s", got, v.want)
		}
	}
	return n, err
}
