package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
)

// absolute returns the header bytes of an entry with its name and the target of a hard link made
// absolute. It returns head if they are.
func (s *scanner) absolute(h *tar.Header, head []byte, name string) ([]byte, error) {
	link := h.Linkname
	if h.Typeflag == tar.TypeLink {
		link = path.Clean("/" + link)
	}
	isPlain := h.Name == name || h.Name == name+"/" && h.Typeflag == tar.TypeDir
	switch {
	case !isPlain:
		s.flaw("%s is not an absolute name", h.Name)
	case link != h.Linkname:
		s.flaw("%s is not an absolute name", h.Linkname)
	default:
		return head, nil
	}
	absolute := *h
	absolute.Name, absolute.Linkname = name, link
	if h.Format == tar.FormatUSTAR {
		absolute.Format = tar.FormatUnknown // the longer name may need another format
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
