package layer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
	"laminate/flatten/layer/digests"
)

// noMember is the number of what belongs to no member of a layer.
const noMember = -1

// errChecked is what the writer of a layer gets once its check has ended.
var errChecked = errors.New("the layer cannot be read back")

// check hashes a layer while it is written, and reads it back: it splits the tar as readers of the
// layer do, and compares each piece, byte by byte, with what was written for that member. So the
// hash of what was written for a member is its content identity.
type check struct {
	kind    flatten.Kind
	members []Member
	parts   chan checkedPart
	ended   chan struct{} // closed when nothing reads parts any more

	cause error // why parts end, if the layer is incomplete; set before parts is closed

	// The following belong to the check's goroutine until ended is closed.
	err    error // of reading back
	flaws  flaws
	diffID hash.Hash
	pieces []*checkedPiece
	shared *idEntry      // of the first member of a shared id directory
	now    []byte        // of the current part, what was not read back yet
	spare  *segment      // the archive's end
	found  []flatten.Ref // of the pieces that are read back
	differ bool          // what is read back is not what was written
	behind int           // bytes that were written, and not compared yet
}

// checkedPart is the next part of the tar.
type checkedPart struct {
	*segment
	member int
}

// checkedPiece is what was written for a member.
type checkedPiece struct {
	hash   hash.Hash // nil for the first: until it ends, the layer's is the same
	facts  flatten.Facts
	expect []expected // what was not compared yet
}

// expected is what has to follow in a piece.
type expected struct {
	rest []byte
	of   *segment // which is released behind it; nil for the entry of an id directory
}

// maxBehind limits what was written and not compared yet: two headers, and the parts that they are in.
const maxBehind = 2*maxHead + 4*chunkSize

// startCheck starts a check. The caller must call end.
func startCheck(ctx context.Context, kind flatten.Kind, members []Member) *check {
	c := &check{
		kind: kind, members: members, diffID: sha256.New(),
		parts: make(chan checkedPart), ended: make(chan struct{}),
	}
	var refs []flatten.Ref
	for _, m := range members {
		refs = append(refs, m.Ref)
	}
	go func() {
		defer close(c.ended)
		c.flaws, c.err = scanChunks(c, kind, refs, false, c.begin)
		c.release()
	}()
	return c
}

// take takes the next part of the tar, which belongs to a member. The segment may be released when
// the check and the caller have.
func (c *check) take(s *segment, member int) error {
	s.share()
	select {
	case c.parts <- checkedPart{s, member}:
		return nil
	case <-c.ended:
		return errChecked
	}
}

// end returns the diffID and the pieces, or the error of writing, or a [BugError] if what was read
// back differs from what was written.
func (c *check) end(err error) (v1.Hash, []flatten.Facts, error) {
	c.cause = err
	close(c.parts)
	<-c.ended
	bug := func(s string) (v1.Hash, []flatten.Facts, error) {
		return v1.Hash{}, nil, &BugError{Refs: c.refs(), Detail: s}
	}
	switch {
	case err != nil && !errors.Is(err, errChecked):
		return v1.Hash{}, nil, err
	case c.err != nil:
		return bug(c.err.Error())
	case c.flaws.nonCanonical != "":
		return bug(c.flaws.nonCanonical)
	case c.differ || len(c.found) != len(c.members) || c.behind > 0:
		return bug(fmt.Sprintf("it holds %v, expected %v", c.found, c.refs()))
	}
	var facts []flatten.Facts
	for _, p := range c.pieces {
		facts = append(facts, p.facts)
	}
	return sum(c.diffID), facts, nil
}

func (c *check) refs() (refs []flatten.Ref) {
	for _, m := range c.members {
		refs = append(refs, m.Ref)
	}
	return refs
}

// next implements chunked: it lends what is written to the scanner.
func (c *check) next(n int) ([]byte, error) {
	for len(c.now) == 0 {
		p, more := <-c.parts
		switch {
		case more:
			c.receive(p)
		case c.cause != nil:
			return nil, c.cause
		default:
			return nil, io.EOF
		}
	}
	b := c.now[:min(n, len(c.now))]
	c.now = c.now[len(b):]
	return b, nil
}

// receive hashes a part, and expects to read it back.
func (c *check) receive(p checkedPart) {
	c.now = p.tar
	if p.member == noMember {
		c.finish()
		c.diffID.Write(p.tar)
		c.spare = p.segment
		return
	}
	for len(c.pieces) <= p.member {
		c.finish()
		c.start(c.members[len(c.pieces)])
	}
	if c.shared != nil {
		_, _ = c.shared.take(p.tar) // the scanner reports errors in the first member
	}
	piece := c.pieces[p.member]
	if piece.hash == nil {
		c.diffID.Write(p.tar)
	} else {
		digests.Write(c.diffID, piece.hash, p.tar)
	}
	piece.facts.Length += int64(len(p.tar))
	c.expect(piece, expected{p.tar, p.segment})
}

// start starts the next piece. One that is stored without the entry of its id directory gets it from
// the first member of that directory, as it does when the layer is split.
func (c *check) start(m Member) {
	i := len(c.pieces)
	piece := &checkedPiece{facts: flatten.Facts{Ref: m.Ref}}
	if i > 0 {
		piece.hash = sha256.New()
	}
	c.pieces = append(c.pieces, piece)
	switch {
	case m.follows && c.shared != nil && c.shared.whole:
		piece.hash.Write(c.shared.head)
		piece.facts.Length = int64(len(c.shared.head))
		c.expect(piece, expected{c.shared.head, nil})
	case m.follows:
	case i+1 < len(c.members) && c.members[i+1].follows:
		c.shared = &idEntry{dir: c.kind.IDDir(m.Ref)}
	default:
		c.shared = nil
	}
}

// finish ends the latest piece.
func (c *check) finish() {
	if len(c.pieces) == 0 {
		return
	}
	piece := c.pieces[len(c.pieces)-1]
	if piece.hash == nil {
		piece.hash = clone(c.diffID)
	}
	piece.hash.Write(trailer[:])
	piece.facts.ContentID = sum(piece.hash)
}

// clone returns a copy of a hash of crypto/sha256.
func clone(h hash.Hash) hash.Hash {
	c, err := h.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // it never fails
	}
	return c
}

func (c *check) expect(p *checkedPiece, e expected) {
	if c.behind += len(e.rest); c.behind > maxBehind {
		c.differ = true
	}
	if c.differ {
		p.expect = nil // it is not compared any more, and not reused
		return
	}
	p.expect = append(p.expect, e)
}

// begin begins a piece that is read back.
func (c *check) begin(r flatten.Ref, again bool) (io.Writer, error) {
	i := len(c.found)
	inOrder := !again && i < len(c.pieces) && c.members[i].Ref == r
	if !inOrder || i > 0 && len(c.pieces[i-1].expect) > 0 {
		c.differ = true
	}
	c.found = append(c.found, r)
	return c, nil
}

// Write compares what is read back of the current piece.
func (c *check) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && !c.differ; {
		piece := c.pieces[len(c.found)-1]
		if len(piece.expect) == 0 {
			c.differ = true
			break
		}
		next := &piece.expect[0]
		n := min(len(rest), len(next.rest))
		if !bytes.Equal(rest[:n], next.rest[:n]) {
			c.differ = true
			break
		}
		rest, next.rest, c.behind = rest[n:], next.rest[n:], c.behind-n
		if len(next.rest) > 0 {
			break
		}
		if next.of != nil {
			next.of.release()
		}
		piece.expect = piece.expect[1:]
	}
	return len(p), nil
}

// release releases the archive's end.
func (c *check) release() {
	if c.spare != nil {
		c.spare.release()
	}
}
