package rootfs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/rootfs"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/stream"
)

// TestMain lets the tests run this program again, as a run beside them.
func TestMain(m *testing.M) {
	if dir := os.Getenv(besideDir); dir != "" {
		beside(dir)
	}
	os.Exit(m.Run())
}

func TestRootfs(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "builder/smoke/rootfs")
}

type entry = workbench.TarEntry

var ctx = context.Background()

// then is the time of entries.
var then = time.Unix(1_000_000_000, 0)

func dir(name string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: then}}
}

func file(name, content string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: then}, Body: content}
}

func link(name, target string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777, ModTime: then}}
}

func hard(name, target string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target, Mode: 0o644, ModTime: then}}
}

func special(name string, of byte, mode int64) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: of, Mode: mode, ModTime: then}}
}

// rawImage is an image of uncompressed layers, without checks of what is in them.
func rawImage(labels map[string]string, layers ...[]byte) (v1.Image, error) {
	img := empty.Image
	for _, data := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer(data, types.OCIUncompressedLayer)); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.Config.Labels, config.OS, config.Architecture = labels, "linux", "amd64"
	return mutate.ConfigFile(img, config)
}

func viewOf(img v1.Image) (*image.Image, error) {
	return image.New(ctx, image.Raw{Image: img, Name: "it", Stored: true, Limits: stream.Limits{}.OrDefault(), Log: progress.Discard})
}

// imageOf is an image of layers.
func imageOf(layers ...[]entry) *image.Image {
	GinkgoHelper()
	return labelled(nil, layers...)
}

// labelled is an image of layers, with the refs in them by their numbers.
func labelled(refs map[int][]flatten.Ref, layers ...[]entry) *image.Image {
	GinkgoHelper()
	var tars [][]byte
	for _, l := range layers {
		tars = append(tars, workbench.TarOf(l...))
	}
	raw, err := rawImage(labelsOf(refs, tars), tars...)
	Expect(err).NotTo(HaveOccurred())
	img, err := viewOf(raw)
	Expect(err).NotTo(HaveOccurred())
	return img
}

func labelsOf(refs map[int][]flatten.Ref, tars [][]byte) map[string]string {
	label := ""
	for i, in := range refs {
		for _, r := range in {
			if label != "" {
				label += ","
			}
			diff, _, err := v1.SHA256(bytes.NewReader(tars[i]))
			Expect(err).NotTo(HaveOccurred())
			label += fmt.Sprintf("%q:{%q:{\"api\":\"0.10\",\"layerDiffID\":%q}}", r.ID, r.Version, diff.String())
		}
	}
	return map[string]string{flatten.BuildpackLayersLabel: "{" + label + "}"}
}

// unpack unpacks an image without a cache, until the spec ends.
func unpack(img *image.Image) *rootfs.Root {
	GinkgoHelper()
	root, err := tryUnpack(img)
	Expect(err).NotTo(HaveOccurred())
	return root
}

func tryUnpack(img *image.Image) (*rootfs.Root, error) {
	GinkgoHelper()
	work := GinkgoT().TempDir()
	root, err := rootfs.Unpack(ctx, img, rootfs.Options{WorkDir: work, Jobs: 4})
	DeferCleanup(func() {
		Expect(root.Close()).To(Succeed())
		Expect(os.ReadDir(work)).To(BeEmpty(), "nothing is left")
	})
	return root, err
}

// look describes everything in a directory, by path.
func look(root string) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[name] = describe(path, info, first, name)
		return err
	})
	Expect(err).NotTo(HaveOccurred())
	return all
}

func describe(path string, info fs.FileInfo, first map[uint64]string, name string) string {
	at := info.ModTime().Unix()
	switch info.Mode().Type() {
	case fs.ModeDir:
		return fmt.Sprintf("directory %o %d", info.Mode().Perm()|info.Mode()&fs.ModeSticky, at)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		return fmt.Sprintf("link %q %d %v", target, at, err)
	case 0:
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrPermission) {
			err = nil // as the layer has it
		}
		ino := info.Sys().(*syscall.Stat_t).Ino
		if first[ino] == "" {
			first[ino] = name
		}
		return fmt.Sprintf("file %o %d %q %s %v", info.Mode().Perm(), at, content, first[ino], err)
	}
	return info.Mode().String()
}
