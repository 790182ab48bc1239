package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"archive/tar"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

func tarSeed(headers ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if w.WriteHeader(&h) == nil && h.Size > 0 {
			w.Write(make([]byte, h.Size))
		}
	}
	w.Close()
	return b.Bytes()
}

// sparseSeed is a tar with a file of the old GNU format: a hole, then "data".
func sparseSeed(hole int) []byte {
	b := tarSeed(tar.Header{Name: "hole", Size: 4, Format: tar.FormatGNU})
	b[156] = tar.TypeGNUSparse
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", hole, 4))
	copy(b[483:], fmt.Sprintf("%011o\x00", hole+4))
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// Whatever a tar holds, what is listed of it lies below its root, stands
// there once, and links to what came before.
func FuzzTar(f *testing.F) {
	f.Add(tarSeed(tar.Header{Name: "bin/", Typeflag: tar.TypeDir}, tar.Header{Name: "bin/build", Size: 3}, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "bin/build"}))
	f.Add(tarSeed(tar.Header{Name: "../x"}, tar.Header{Name: "/x"}, tar.Header{Name: "y", Typeflag: tar.TypeSymlink, Linkname: "/etc"}))
	f.Add(tarSeed(tar.Header{Name: strings.Repeat("long/", 40) + "x", Size: 600}))
	f.Add([]byte{})
	f.Add(sparseSeed(7 << 30))
	f.Add(sparseSeed(10))
	limits := stream.Limits{Bytes: 1 << 20, Entries: 100, Ratio: 1000}
	f.Fuzz(func(t *testing.T, data []byte) {
		total := int64(0)
		a, err := readTar(context.Background(), bytes.NewReader(data), limits, int64(len(data)), func(h *tar.Header, r io.Reader) (func() (io.ReadCloser, error), error) {
			n, err := io.Copy(io.Discard, io.LimitReader(r, h.Size+1))
			total += n
			return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }, err
		})
		if total > limits.Bytes {
			t.Fatalf("%d bytes were kept", total)
		}
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, one := range a.files {
			if one.Path == "" || path.Clean("/"+one.Path) != "/"+one.Path || seen[one.Path] {
				t.Fatalf("entry %q", one.Path)
			}
			seen[one.Path] = true
			if one.Mode.IsRegular() != (one.Open != nil) {
				t.Fatalf("entry %q: mode %v, open %v", one.Path, one.Mode, one.Open != nil)
			}
		}
		for _, target := range []flatten.Target{{}, {OS: "linux", Arch: "amd64"}} {
			_, _ = layer.NormalForm(flatten.Buildpack, flatten.Ref{ID: "a", Version: "1"}, "x", forTarget(a.files, target.Folders(), "buildpack.toml"))
		}
	})
}

// memoryBlobs is a layout that has but its two files.
type memoryBlobs map[string]string

func (m memoryBlobs) open(name string) (io.ReadCloser, int64, error) {
	data, there := m[name]
	if !there {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(data)), int64(len(data)), nil
}

// Whatever an index says, it leads nowhere but to an image or an error.
func FuzzLayout(f *testing.F) {
	f.Add(`{"imageLayoutVersion":"1.0.0"}`, `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}`, "")
	f.Add(`{"imageLayoutVersion":"1.0.0"}`, `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","platform":{"os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"x"}}]}`, "x")
	f.Add(`{}`, `{"manifests":[{"digest":"../../x"}]}`, "")
	f.Fuzz(func(t *testing.T, version, index, tag string) {
		blobs := memoryBlobs{"oci-layout": version, "index.json": index, "blobs/sha256/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": "{}"}
		for _, target := range []flatten.Target{{}, {OS: "linux", Arch: "amd64"}} {
			i := &opening{ctx: context.Background(), Raw: image.Raw{Name: "x", Limits: stream.Limits{}.OrDefault(), Log: progress.Discard}}
			err := i.openLayout(blobs, tag, target)
			if (err == nil) != (i.Image != nil) {
				t.Fatalf("image %v, error %v", i.Image, err)
			}
			if err == nil {
				if img, err := i.view(); err == nil {
					_, _ = img.Package(flatten.Buildpack)
				}
			}
		}
		var digest v1.Hash
		if err := errors.Join(digest.UnmarshalText([]byte(tag))); err == nil {
			_, _, _ = dirBlobs(".").open("blobs/" + digest.Algorithm + "/" + digest.Hex)
		}
	})
}
