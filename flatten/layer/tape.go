package layer

import (
	"bytes"
	"fmt"
	"io"
)

// tape records what the tar reader reads: headers in head; contents, including their padding, in w.
type tape struct {
	r       io.Reader
	head    bytes.Buffer
	w       io.Writer
	content int64 // bytes of content so far
	padding int64 // bytes of padding before the next header
	inHead  bool
	werr    error // the first error of w
}

func (t *tape) startHead() {
	t.head.Reset()
	t.inHead, t.padding = true, -t.content&511
	t.content = 0
}

func (t *tape) startContent(w io.Writer) { t.inHead, t.w, t.content = false, w, 0 }

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	b := p[:n]
	if t.inHead {
		pad := min(t.padding, int64(n))
		t.padding -= pad
		t.head.Write(b[pad:])
		b = b[:pad]
		if t.head.Len() > maxHead {
			return n, fmt.Errorf("header is longer than %d bytes", maxHead)
		}
	} else {
		t.content += int64(n)
	}
	if len(b) > 0 && t.werr == nil {
		_, t.werr = t.w.Write(b)
	}
	if t.werr != nil {
		return n, t.werr
	}
	return n, err
}
