package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func newHash() hash.Hash { return sha256.New() }

func digestOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// verified reads a blob and gives an error in the place of io.EOF where its
// digest is not the one wanted.
type verified struct {
	io.ReadCloser
	want v1.Hash
	hash hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF {
		if got := digestOf(v.hash); got != v.want {
			err = fmt.Errorf("its digest is not %s, but %s", v.want, got)
		}
	}
	return n, err
}

// readCloser is a reader with somebody else's Close.
type readCloser struct {
	io.Reader
	io.Closer
}
