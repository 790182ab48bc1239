package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/source"
)

var (
	amd64 = flatten.Target{OS: "linux", Arch: "amd64"}
	arm64 = flatten.Target{OS: "linux", Arch: "arm64"}
)

// opener is one with a work directory of its own.
func opener() *source.Opener {
	return &source.Opener{WorkDir: GinkgoT().TempDir(), Pause: time.Millisecond}
}

func at(kind location.Kind, path, ref string) location.Location {
	return location.Location{Kind: kind, Path: path, Ref: ref, Written: cmpOr(path, ref)}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func path(p string) location.Location { return at(location.Path, p, "") }

// tree is the files of a directory: "#!" begins what can be executed, "->" the
// target of a symbolic link; a name that ends in a slash is a directory.
type tree map[string]string

// descriptor is the buildpack.toml of a component.
func descriptor(id string) string {
	return fmt.Sprintf("api = \"0.10\"\n[buildpack]\nid = %q\nversion = \"1.0.0\"\nname = \"Name of %s\"\n[[stacks]]\nid = \"*\"\n", id, id)
}

// component is a small buildpack.
func component(id string) tree {
	return tree{
		"buildpack.toml": descriptor(id), "bin/detect": "#!/bin/sh\n# " + id, "bin/build": "#!/bin/sh\nexit 0",
		"bin-x": "beside bin", "data/file": "content of " + id, "data/link": "->file", "empty/": "",
	}
}

func (t tree) names() []string {
	var names []string
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t tree) write(dir string) string {
	for _, name := range t.names() {
		p, content := filepath.Join(dir, name), t[name]
		Expect(os.MkdirAll(filepath.Dir(p), 0o755)).To(Succeed())
		switch link, isLink := strings.CutPrefix(content, "->"); {
		case strings.HasSuffix(name, "/"):
			Expect(os.MkdirAll(p, 0o755)).To(Succeed())
		case isLink:
			Expect(os.Symlink(link, p)).To(Succeed())
		default:
			Expect(os.WriteFile(p, []byte(content), mode(content))).To(Succeed())
		}
	}
	return dir
}

func mode(content string) fs.FileMode {
	if strings.HasPrefix(content, "#!") {
		return 0o755
	}
	return 0o644
}

// dir writes the tree into a directory of its own.
func (t tree) dir() string { return t.write(GinkgoT().TempDir()) }

// entry is one entry of a tar.
type entry struct {
	tar.Header
	body string
}

func (t tree) entries() []entry {
	var all []entry
	for _, name := range t.names() {
		content := t[name]
		e := entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(mode(content)), ModTime: time.Now()}, body: content}
		if link, isLink := strings.CutPrefix(content, "->"); isLink {
			e.Typeflag, e.Linkname, e.body = tar.TypeSymlink, link, ""
		}
		if strings.HasSuffix(name, "/") {
			e.Typeflag, e.Mode = tar.TypeDir, 0o755
		}
		all = append(all, e)
	}
	return all
}

func tarOf(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.Typeflag == 0 {
			e.Typeflag = tar.TypeReg
		}
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.body))
		}
		Expect(w.WriteHeader(&e.Header)).To(Succeed())
		if e.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, e.body)
			Expect(err).NotTo(HaveOccurred())
		}
	}
	Expect(w.Close()).To(Succeed())
	return b.Bytes()
}

func packed(c layer.Compression, data []byte) []byte {
	_, blob := compressed(c, data)
	return blob
}

// file writes data into a file that is called name, in a directory of its own.
func file(name string, data []byte) string {
	p := filepath.Join(GinkgoT().TempDir(), name)
	Expect(os.WriteFile(p, data, 0o644)).To(Succeed())
	return p
}

// listing is what a piece holds, entry by entry.
func listing(p layer.Piece) []string {
	GinkgoHelper()
	lines, err := tryListing(p)
	Expect(err).NotTo(HaveOccurred())
	return lines
}

func tryListing(p layer.Piece) ([]string, error) {
	var b bytes.Buffer
	if err := p.WriteEntries(context.Background(), &b); err != nil {
		return nil, err
	}
	r := tar.NewReader(&b)
	var lines []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%c %o %s %s %q", h.Typeflag, h.Mode, h.Name, h.Linkname, body))
	}
}

// contentID is the digest of the layer that would hold the piece alone.
func contentID(p layer.Piece) string {
	GinkgoHelper()
	sum := sha256.New()
	Expect(p.WriteEntries(context.Background(), sum)).To(Succeed())
	sum.Write(make([]byte, 1024))
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// want is what a component holds, whatever it was packed in.
func want(id string) []string {
	d := "/cnb/buildpacks/" + strings.ReplaceAll(id, "/", "_") + "/1.0.0"
	t := component(id)
	return []string{
		fmt.Sprintf("5 755 %s  %q", filepath.Dir(d), ""),
		fmt.Sprintf("5 755 %s  %q", d, ""),
		fmt.Sprintf("5 755 %s/bin  %q", d, ""),
		fmt.Sprintf("0 755 %s/bin/build  %q", d, t["bin/build"]),
		fmt.Sprintf("0 755 %s/bin/detect  %q", d, t["bin/detect"]),
		fmt.Sprintf("0 644 %s/bin-x  %q", d, t["bin-x"]),
		fmt.Sprintf("0 644 %s/buildpack.toml  %q", d, t["buildpack.toml"]),
		fmt.Sprintf("5 755 %s/data  %q", d, ""),
		fmt.Sprintf("0 644 %s/data/file  %q", d, t["data/file"]),
		fmt.Sprintf("2 755 %s/data/link file %q", d, ""),
		fmt.Sprintf("5 755 %s/empty  %q", d, ""),
	}
}

// serve runs a registry in this process.
func serve() string {
	s := httptest.NewServer(registry.New(registry.Logger(quiet())))
	DeferCleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
