package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
)

// absolute gives the header bytes of an entry with the name, and the name of
// the file that it links to, made absolute. Where they are, it is head.
func (s *scanner) absolute(h *tar.Header, head []byte, name string) ([]byte, error) {
	link := h.Linkname
	if h.Typeflag == tar.TypeLink {
		link = path.Clean("/" + link)
	}
	isPlain := h.Name == name || h.Name == name+"/" && h.Typeflag == tar.TypeDir
	switch {
	case !isPlain:
		s.mess("%s is no absolute name", h.Name)
	case link != h.Linkname:
		s.mess("%s is no absolute name", h.Linkname)
	default:
		return head, nil
	}
	absolute := *h
	absolute.Name, absolute.Linkname = name, link
	if h.Format == tar.FormatUSTAR {
		absolute.Format = tar.FormatUnknown // the name may have grown too long for it
	}
	return encodeHeader(&absolute)
}

func encodeHeader(h *tar.Header) ([]byte, error) {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	return b.Bytes(), nil
}
