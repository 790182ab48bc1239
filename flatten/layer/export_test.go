package layer

import (
	"context"
	"crypto/sha256"
	"io"

	"laminate/flatten"
)

// WriteTo builds a layer of one member into w.
func WriteTo(w io.Writer, m Member) error {
	b := &Built{compression: Gzip}
	return b.write(context.Background(), w, []Member{m}, BuildOptions{Kind: flatten.Buildpack, Compression: Gzip})
}

// CleanName makes a name absolute.
func CleanName(name string) (string, error) { return cleanName(name) }

// GzipLevel is the level at which layers are compressed.
const GzipLevel = gzipLevel

// ReadBack reports whether a check takes what is read back for what was written for the members. Found
// begins pieces, and writes what is in them.
func ReadBack(members []Member, written []string, found func(begin func(flatten.Ref), write func(string))) bool {
	c := &check{kind: flatten.Buildpack, members: members, diffID: sha256.New()}
	for i, tar := range written {
		c.receive(checkedPart{newSegment(append(newChunk(), tar...)), i})
	}
	begin := func(r flatten.Ref) {
		again := false
		for _, f := range c.found {
			again = again || f == r
		}
		_, _ = c.begin(r, again)
	}
	found(begin, func(s string) { _, _ = c.Write([]byte(s)) })
	return !c.differ && len(c.found) == len(members) && c.behind == 0
}
