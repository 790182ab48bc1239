package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// webFile is the cached metadata of a download.
type webFile struct {
	URL          string `json:"url"` // without secrets
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// download downloads a file into the work directory, or takes it from the cache if the server says
// that it is unchanged.
func (o *Opener) download(ctx context.Context, loc location.Location) (string, error) {
	if o.WorkDir == "" {
		return "", fmt.Errorf("%s: %w", loc, errNoWorkDir)
	}
	file, err := o.fetch(ctx, loc)
	if err != nil {
		return "", fmt.Errorf("%s: %w", loc, explainHTTP(err))
	}
	return file, nil
}

func (o *Opener) fetch(ctx context.Context, loc location.Location) (_ string, err error) {
	sum := sha256.Sum256([]byte(loc.URL)) // hashed, since keys must not hold secrets
	key := "http " + hex.EncodeToString(sum[:])
	var known webFile
	blob, _ := o.Cache.Get(ctx, key, &known)
	if blob == nil {
		known = webFile{}
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	resp, err := o.request(ctx, loc, known)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode == http.StatusNotModified && blob != nil {
		file, err := blob.Link(o.WorkDir)
		if err == nil {
			o.log().Note(progress.Reused, progress.Subject{Name: loc.String()}, blob.Size())
		}
		return file, err
	}
	return o.receive(ctx, loc, key, resp)
}

// request requests the file, conditionally if a version is cached.
func (o *Opener) request(ctx context.Context, loc location.Location, known webFile) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, loc.URL, nil)
	if err != nil {
		return nil, errors.New("invalid URL")
	}
	if known.ETag != "" {
		req.Header.Set("If-None-Match", known.ETag)
	} else if known.LastModified != "" {
		req.Header.Set("If-Modified-Since", known.LastModified)
	}
	req.Header.Set("User-Agent", "laminate")
	req.Header.Set("Accept-Encoding", "identity") // do not transform the file
	options := o.registry()
	if req.URL.Scheme == "http" { // http:// is allowed if the user wrote it, but not in a redirect
		options.Insecure = append(options.Insecure[:len(options.Insecure):len(options.Insecure)], req.URL.Host)
	}
	return (&http.Client{Transport: options.Retrying()}).Do(req)
}

// receive writes the body into the work directory, and into the cache if the server supports
// conditional requests.
func (o *Opener) receive(ctx context.Context, loc location.Location, key string, resp *http.Response) (_ string, err error) {
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("server responds %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	limit := o.Limits.OrDefault().Bytes
	if resp.ContentLength > limit {
		return "", fmt.Errorf("%d bytes exceed the limit of %d", resp.ContentLength, limit)
	}
	task := o.log().Start(progress.Downloading, progress.Subject{Name: loc.String()}, resp.ContentLength)
	defer func() { task.Done(err) }()
	f, err := os.CreateTemp(o.WorkDir, "download-*")
	if err != nil {
		return "", err
	}
	kept := o.Cache.Create(key)
	defer kept.Discard()
	n, err := io.Copy(io.MultiWriter(f, kept), io.LimitReader(stream.WithContext(ctx, reported{resp.Body, task}), limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than the limit of %d bytes", limit)
	}
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	is := webFile{URL: location.Redact(loc.URL), ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}
	if is.ETag != "" || is.LastModified != "" {
		kept.Commit(is)
	}
	return f.Name(), nil
}

// explainHTTP removes the URL, which may hold secrets, from an error.
func explainHTTP(err error) error {
	var request *url.Error
	for errors.As(err, &request) {
		if request.Err == nil {
			return errors.New(request.Op)
		}
		err = request.Err
	}
	var stall *registry.StallError
	if errors.As(err, &stall) || errors.Is(err, context.Canceled) {
		return err
	}
	if refused := registry.Certificate(err); refused != "" {
		return registry.Reword(err, refused)
	}
	return registry.Reword(err, location.RedactText(registry.Shorten(err.Error())))
}
