package inflate

// output is the decoded content: what was not returned yet, and what was, as far as matches may
// refer to it or it is held.
type output struct {
	buf  []byte // writable up to its length
	base int64  // position of buf[0] in the content
	end  int    // index in buf
	held int64
}

const (
	// history is the maximum distance of a match.
	history = 32 << 10
	// stepSize is the most content that one step produces: small enough to be in the CPU cache when
	// it is hashed and returned.
	stepSize = 64 << 10
	// slack is how far a step may write beyond its end: two literals, a match, and 15 bytes copied
	// in excess.
	slack = 258 + 32
)

// total returns how many bytes were decoded.
func (out *output) total() int64 { return out.base + int64(out.end) }

// makeRoom makes room for one more step. It drops and grows like slide.
func (out *output) makeRoom() {
	if len(out.buf)-out.end >= stepSize+slack {
		return
	}
	drop := max(0, min(int(out.held-out.base), out.end-history))
	rest := out.buf[drop:out.end]
	into := out.buf
	if free := len(out.buf) - len(rest); free < max(stepSize+slack, len(out.buf)/4) {
		into = make([]byte, max(4*stepSize, 2*len(out.buf)))
	}
	out.end = copy(into, rest)
	out.buf = into
	out.base += int64(drop)
}

// since returns the content between two held positions.
func (out *output) since(from, to int64) []byte {
	return out.buf[from-out.base : to-out.base]
}
