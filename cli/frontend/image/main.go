// Command image makes the image of laminate-frontend for amd64 and arm64, and writes it to a destination
// as laminate knows them: oci:DIRECTORY, a reference of a registry, docker-daemon:REF and so on. The same
// commit gives the same digest, with the same version of Go.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"laminate/flatten"
	"laminate/packager/location"
	"laminate/packager/sink"
)

const program = "laminate-frontend"

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: image DESTINATION, such as oci:DIRECTORY or docker://example.com/laminate-frontend:1")
		flag.PrintDefaults()
	}
	var insecure []string
	flag.Func("insecure-registry", "a `host` whose registry has no valid certificate", func(host string) error { insecure = append(insecure, host); return nil })
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), insecure); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run makes the image and writes it.
func run(ctx context.Context, destination string, insecure []string) (err error) {
	dest, err := location.ParseDest(destination, location.DestOptions{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "frontend-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var images []sink.Image
	for _, arch := range []string{"amd64", "arm64"} {
		binary := filepath.Join(dir, arch)
		if err := compile(ctx, arch, binary); err != nil {
			return err
		}
		img, err := imageOf(binary, arch)
		if err != nil {
			return err
		}
		images = append(images, sink.Image{Image: img, Target: flatten.Target{OS: "linux", Arch: arch}})
	}
	written, err := sink.Write(ctx, dest, images, sink.Options{Keychain: authn.DefaultKeychain, Insecure: insecure})
	if err != nil {
		return err
	}
	for _, w := range written {
		fmt.Printf("%s\t%s\n", w.Digest, w.Destination)
	}
	return nil
}

// compile builds the program. It is static, and has nothing of this machine in it.
func compile(ctx context.Context, arch, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", to, "laminate/cli/frontend/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s for %s: %w\n%s", program, arch, err, out)
	}
	return nil
}

// imageOf returns the image of a program. Its only layer has the program and /tmp.
func imageOf(binary, arch string) (v1.Image, error) {
	content, err := layer(binary)
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: program}}); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Entrypoint = []string{"/" + program}
	config.Config.WorkingDir = "/"
	config.Config.Labels = map[string]string{
		"org.opencontainers.image.title":       program,
		"org.opencontainers.image.description": "BuildKit front end that builds apps with Cloud Native Buildpacks",
	}
	return mutate.ConfigFile(img, config)
}

// layer returns the tar of the layer.
func layer(binary string) ([]byte, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	at := time.Unix(315532801, 0) // as in buildpacks
	err = errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: program, Mode: 0o755, Size: int64(len(data)), ModTime: at}),
		writeAll(w, data),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: at}),
		w.Close(),
	)
	return b.Bytes(), err
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}
