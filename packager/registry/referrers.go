package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// referrerLimit is the maximum number of manifests that refer to one subject. A release attaches
	// a handful; scanners may add one a day.
	referrerLimit = 5_000
	// referrerPages is the maximum number of pages in which a registry lists them.
	referrerPages = 100
)

// Referrers are the manifests that refer to a subject.
type Referrers struct {
	// HasAPI reports whether the registry lists them itself. If not, clients keep the list, as an
	// index under the tag of [ReferrersTag].
	HasAPI bool
	// Descriptors are those that can be read: entries with other digests than SHA-256 cannot.
	Descriptors []v1.Descriptor
	// Index is the index of the tag, as it is stored; empty if there is none, or with HasAPI.
	Index []byte
}

// ReferrersTag returns the tag under which clients list the referrers of a subject, in registries
// that do not (distribution spec, "Referrers Tag Schema").
func ReferrersTag(subject v1.Hash) string { return subject.Algorithm + "-" + subject.Hex }

// Referrers lists the manifests that refer to a subject: those that the registry lists, or else those
// under the subject's tag. The list is what the registry says: neither is the subject known to exist,
// nor do the manifests need to refer to it.
//
// The function of the same name in go-containerregistry reads one page only, takes any index under
// the tag, and does not say which of the two it read.
func (s *Session) Referrers(ctx context.Context, subject v1.Hash) (*Referrers, error) {
	listed, err := s.listed(ctx, subject)
	if listed != nil || err != nil {
		return listed, err
	}
	return s.TaggedReferrers(ctx, subject)
}

// TaggedReferrers lists the referrers under the subject's tag.
func (s *Session) TaggedReferrers(ctx context.Context, subject v1.Hash) (*Referrers, error) {
	tag := ReferrersTag(subject)
	d, err := s.Manifest(ctx, tag)
	switch {
	case IsMissing(err):
		return &Referrers{}, nil
	case err != nil:
		return nil, err
	case d.MediaType != types.OCIImageIndex:
		return nil, fmt.Errorf("tag %s is not an index of referrers: its media type is %q", tag, d.MediaType)
	}
	r := &Referrers{Index: d.Raw}
	if _, err := r.add(d.Raw, 0); err != nil {
		return nil, fmt.Errorf("tag %s: %w", tag, err)
	}
	return r, nil
}

// listed reads the registry's own list, page by page. It returns nil if the registry has none.
// Registries without the list respond with various errors, or with a page for people.
func (s *Session) listed(ctx context.Context, subject v1.Hash) (*Referrers, error) {
	r := &Referrers{HasAPI: true}
	next, count := s.url("referrers", subject.String()), 0
	for range referrerPages {
		resp, err := s.do(ctx, http.MethodGet, next, nil, "")
		if err != nil {
			return nil, err
		}
		page, err := readPage(resp)
		if page == nil || err != nil {
			return nil, err
		}
		if count, err = r.add(page, count); err != nil {
			return nil, fmt.Errorf("referrers: %w", err)
		}
		if next, err = nextPage(resp, next); next == nil || err != nil {
			return r, err
		}
	}
	return nil, fmt.Errorf("referrers: too many pages; the limit is %d", referrerPages)
}

// readPage reads a response, and closes it. It returns nil if the registry does not know the request.
func readPage(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	none := []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented,
	}
	is, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if slices.Contains(none, resp.StatusCode) || resp.StatusCode == http.StatusOK && (err != nil || is != string(types.OCIImageIndex)) {
		discard(resp)
		return nil, nil
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, err
	}
	return io.ReadAll(resp.Body) // limited by the transport
}

// add adds the descriptors of an index to count others. It returns how many entries there are,
// including those that cannot be read.
func (r *Referrers) add(index []byte, count int) (int, error) {
	if err := CheckDocument(index); err != nil {
		return count, err
	}
	var d struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(index, &d); err != nil {
		return count, fmt.Errorf("invalid index: %w", err)
	}
	if count += len(d.Manifests); count > referrerLimit {
		return count, fmt.Errorf("too many referrers; the limit is %d", referrerLimit)
	}
	for _, raw := range d.Manifests {
		var one v1.Descriptor
		if err := json.Unmarshal(raw, &one); err == nil && one.Digest != (v1.Hash{}) {
			r.Descriptors = append(r.Descriptors, one)
		}
	}
	return count, nil
}

// nextPage returns the address of the next page, or nil. It must be in the same registry, since the
// request carries its credentials.
func nextPage(resp *http.Response, this *url.URL) (*url.URL, error) {
	for _, link := range strings.Split(resp.Header.Get("Link"), ",") {
		target, params, _ := strings.Cut(strings.TrimSpace(link), ">")
		if !strings.HasPrefix(target, "<") || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		next, err := this.Parse(target[1:])
		if err != nil {
			return nil, fmt.Errorf("referrers: next page: %w", err)
		}
		if next.Host != this.Host || next.Scheme != this.Scheme {
			return nil, fmt.Errorf("referrers: next page is on another host, %s", next.Host)
		}
		return next, nil
	}
	return nil, nil
}
