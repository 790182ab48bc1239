package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Session sends those requests about one repository for which go-containerregistry has no function, or
// one that does too much: it cannot put a manifest that has a subject without writing an index of its
// own, and uploads a blob in three requests. A session logs in once. Requests are retried, and responses limited,
// as by [Options.Remote]. It is safe for concurrent use.
type Session struct {
	repository name.Repository
	client     *http.Client
}

// Document is a manifest or an index.
type Document struct {
	Raw       []byte
	MediaType types.MediaType
	Digest    v1.Hash
}

// Descriptor describes the document.
func (d Document) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: d.MediaType, Size: int64(len(d.Raw)), Digest: d.Digest}
}

// Session logs in to a repository, for one of the scopes of package transport.
func (o Options) Session(ctx context.Context, repository name.Repository, scope string) (*Session, error) {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	auth, err := authn.Resolve(ctx, keychain, repository)
	if err != nil {
		return nil, err
	}
	o = o.pooled()
	inner := transport.NewUserAgent(o.Pool.sharing(&limiting{inner: o.Retrying(), all: true}), userAgent)
	logged, err := transport.NewWithContext(ctx, repository.Registry, auth, inner, []string{repository.Scope(scope)})
	if err != nil {
		return nil, err
	}
	return &Session{repository, &http.Client{Transport: logged}}, nil
}

// Manifest reads a manifest or an index, by tag or digest. Its digest is computed, and compared with
// the one that was asked for. Callers parse it with the functions of this package.
func (s *Session) Manifest(ctx context.Context, identifier string) (Document, error) {
	resp, err := s.do(ctx, http.MethodGet, s.url("manifests", identifier), nil, "")
	if err != nil {
		return Document{}, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return Document{}, err
	}
	raw, err := io.ReadAll(resp.Body) // limited by the transport
	if err != nil {
		return Document{}, err
	}
	if err := CheckDocument(raw); err != nil {
		return Document{}, err
	}
	d := Document{Raw: raw}
	if d.Digest, _, err = v1.SHA256(bytes.NewReader(raw)); err != nil {
		return Document{}, err
	}
	if want, err := v1.NewHash(identifier); err == nil && want != d.Digest {
		return Document{}, fmt.Errorf("manifest has digest %s, expected %s", d.Digest, want)
	}
	d.MediaType, err = MediaType(raw, types.MediaType(resp.Header.Get("Content-Type")))
	return d, err
}

// PutManifest writes a manifest or an index, by tag or digest. Linked reports whether the registry
// says that it keeps the list of referrers of the manifest's subject itself (distribution spec,
// "Pushing Manifests with Subject").
func (s *Session) PutManifest(ctx context.Context, identifier string, d Document) (linked bool, err error) {
	resp, err := s.do(ctx, http.MethodPut, s.url("manifests", identifier), d.Raw, string(d.MediaType))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
		return false, err
	}
	return resp.Header.Get("OCI-Subject") != "", nil
}

// ErrElsewhere is the error of an upload that a registry wants at another host.
var ErrElsewhere = errors.New("the upload is at another host")

// PutBlob uploads a small blob in two requests (distribution spec, "POST then PUT"). It does not ask
// whether the repository has it.
func (s *Session) PutBlob(ctx context.Context, digest v1.Hash, content []byte) error {
	resp, err := s.do(ctx, http.MethodPost, s.url("blobs", "uploads/"), nil, "")
	if err != nil {
		return err
	}
	if err := errors.Join(transport.CheckError(resp, http.StatusAccepted), resp.Body.Close()); err != nil {
		return err
	}
	to, err := resp.Location()
	if err != nil {
		return err
	}
	if !sameOrigin(to, resp.Request.URL) {
		return ErrElsewhere
	}
	query := to.Query()
	query.Set("digest", digest.String())
	to.RawQuery = query.Encode()
	resp, err = s.do(ctx, http.MethodPut, to, content, "application/octet-stream")
	if err != nil {
		return err
	}
	return errors.Join(transport.CheckError(resp, http.StatusCreated), resp.Body.Close())
}

func (s *Session) url(kind, identifier string) *url.URL {
	return &url.URL{
		Scheme: s.repository.Scheme(), Host: s.repository.RegistryStr(),
		Path: fmt.Sprintf("/v2/%s/%s/%s", s.repository.RepositoryStr(), kind, identifier),
	}
}

// accepted are the media types of manifests and indexes. Quay and others convert or refuse a
// manifest whose type is not accepted.
const accepted = string(types.OCIManifestSchema1 + ", " + types.OCIImageIndex + ", " + types.DockerManifestSchema2 + ", " + types.DockerManifestList)

func (s *Session) do(ctx context.Context, method string, to *url.URL, body []byte, contentType string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body == nil {
		req.Body, req.GetBody = http.NoBody, nil
		req.Header.Set("Accept", accepted)
	} else {
		req.Header.Set("Content-Type", contentType)
	}
	return s.client.Do(req)
}
