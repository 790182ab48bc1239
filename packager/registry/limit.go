package registry

import (
	"fmt"
	"io"
	"net/http"
)

// DocumentLimit is the maximum size in bytes of a manifest, an index or an image config from any
// source. Parsed, they take several times their size in memory. The distribution spec asks
// registries to accept manifests of 4 MiB.
const DocumentLimit = 16 << 20

// limiting limits responses, either all or all but blobs. Configs are blobs, whose size is known
// before.
type limiting struct {
	inner http.RoundTripper
	all   bool
}

// RoundTrip implements http.RoundTripper.
func (t *limiting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.inner.RoundTrip(req)
	if err == nil && resp.Body != nil && req.Method != http.MethodHead && (t.all || !isBlob(origin(req))) {
		resp.Body = &document{ReadCloser: resp.Body, left: DocumentLimit, large: resp.ContentLength > DocumentLimit}
	}
	return resp, err
}

type document struct {
	io.ReadCloser
	left  int64
	large bool // according to its header
}

func (d *document) Read(p []byte) (int, error) {
	if d.large {
		return 0, fmt.Errorf("response is larger than %d MiB", DocumentLimit>>20)
	}
	n, err := d.ReadCloser.Read(p)
	if d.left -= int64(n); d.left < 0 {
		d.large = true
		return 0, fmt.Errorf("response is larger than %d MiB", DocumentLimit>>20)
	}
	return n, err
}
