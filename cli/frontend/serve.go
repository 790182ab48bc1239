package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/frontend/gateway/client"
)

// registry serves the layers that the lifecycle exported as images of a registry on loopback, from which
// BuildKit takes them as they are: nothing else brings a layer into BuildKit without packing it anew, with
// another diffID. Blobs are files, which are whole before the registry serves them: BuildKit cannot be
// asked for anything while it waits for a blob.
type registry struct {
	dir     string // has the blobs, by their hex digits
	server  *http.Server
	address string

	mu        sync.Mutex // other programs of this machine may ask while images are made
	manifests map[string][]byte
}

// repository is the name of the repository that the registry has.
const repository = "laminate/app"

// newRegistry begins to serve. The caller closes the registry.
func newRegistry() (*registry, error) {
	if err := os.MkdirAll(os.TempDir(), 0o700); err != nil { // the front end's image has no files
		return nil, err
	}
	dir, err := os.MkdirTemp("", "layers-")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r := &registry{dir: dir, manifests: map[string][]byte{}, address: listener.Addr().String()}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go r.server.Serve(listener) // ends with Close
	return r, nil
}

// Close ends the registry, and removes its blobs.
func (r *registry) Close() error { return errors.Join(r.server.Close(), os.RemoveAll(r.dir)) }

// ServeHTTP answers what a pull by digest asks for (distribution spec, "Pull").
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		http.Error(w, "read only", http.StatusMethodNotAllowed)
		return
	}
	if request.URL.Path == "/v2/" {
		return
	}
	kind, digest, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/v2/"+repository+"/"), "/")
	hash, err := v1.NewHash(digest)
	if err != nil {
		http.NotFound(w, request)
		return
	}
	w.Header().Set("Docker-Content-Digest", hash.String())
	w.Header().Set("ETag", `"`+hash.String()+`"`)
	if manifest := r.manifest(hash); kind == "manifests" && manifest != nil {
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(manifest))
		return
	}
	f, err := os.Open(filepath.Join(r.dir, hash.Hex))
	if kind != "blobs" || err != nil {
		http.NotFound(w, request)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, request, "", time.Time{}, f)
}

// manifest returns the manifest with a digest, or nil.
func (r *registry) manifest(hash v1.Hash) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifests[hash.String()]
}

// image makes an image of layers, and returns the reference by which BuildKit pulls it. It must be called
// before anything is pulled.
func (r *registry) image(ctx context.Context, a *appBuild, layers []exportedLayer) (string, error) {
	config := v1.ConfigFile{OS: a.made.config.OS, Architecture: a.made.config.Architecture, Variant: a.made.config.Variant, RootFS: v1.RootFS{Type: "layers"}}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, l := range layers {
		if err := r.fetch(ctx, a, l); err != nil {
			return "", fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diff)
		m.Layers = append(m.Layers, l.Descriptor)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	m.Config.MediaType = types.OCIConfigJSON
	if m.Config.Digest, m.Config.Size, err = v1.SHA256(bytes.NewReader(raw)); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(r.dir, m.Config.Digest.Hex), raw, 0o600); err != nil {
		return "", err
	}
	if raw, err = json.Marshal(m); err != nil {
		return "", err
	}
	hash, _, err := v1.SHA256(bytes.NewReader(raw))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[hash.String()] = raw
	return r.address + "/" + repository + "@" + hash.String(), err
}

// fetch copies the blob of a layer from BuildKit, and verifies it.
func (r *registry) fetch(ctx context.Context, a *appBuild, l exportedLayer) error {
	name := filepath.Join(r.dir, l.Digest.Hex)
	if _, err := os.Stat(name); err == nil {
		return nil // of another platform
	}
	f, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	err = errors.Join(verified(ctx, f, a.output, l.file, l.Descriptor), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

// verified copies a file of BuildKit's, and fails if it is not the one that the descriptor describes.
func verified(ctx context.Context, to io.Writer, ref client.Reference, name string, d v1.Descriptor) error {
	got, n, err := v1.SHA256(io.TeeReader(io.LimitReader(&fileReader{ctx: ctx, ref: ref, name: name}, d.Size+1), to))
	if err != nil {
		return plain(err)
	}
	if got != d.Digest || n != d.Size {
		return errors.New("it has other content")
	}
	return nil
}

// fileReader reads a file of BuildKit's, chunk by chunk.
type fileReader struct {
	ctx    context.Context
	ref    client.Reference
	name   string
	offset int
	rest   []byte
	end    bool
}

func (r *fileReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && !r.end {
		data, err := r.ref.ReadFile(r.ctx, client.ReadRequest{Filename: r.name, Range: &client.FileRange{Offset: r.offset, Length: chunk}})
		if err != nil {
			return 0, err
		}
		r.offset += len(data)
		r.rest, r.end = data, len(data) < chunk
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
