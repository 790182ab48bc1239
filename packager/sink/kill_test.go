package sink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/location"
	"laminate/packager/sink"
)

const (
	// writeThere names, in the environment of a process beside the tests, where
	// that process writes an image to.
	writeThere = "SINK_TEST_DESTINATION"
	// killAt is after how many bytes of layers that process kills itself.
	killAt = "SINK_TEST_KILL_AT"
	// another is set where it writes another image.
	another = "SINK_TEST_ANOTHER"
)

func TestMain(m *testing.M) {
	if dest := os.Getenv(writeThere); dest != "" {
		seed := int64(1)
		if os.Getenv(another) != "" {
			seed = 9
		}
		if err := writeBeside(dest, seed); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// layerBytes is how long each of four layers is, at least.
const layerBytes = 100_000

// writeBeside writes an image of four layers.
func writeBeside(dest string, seed int64) error {
	loc, err := location.ParseDest(dest, location.DestOptions{})
	if err != nil {
		return err
	}
	img, err := random.Image(layerBytes, 4, random.WithSource(rand.NewSource(seed)))
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	if at, err := strconv.ParseInt(os.Getenv(killAt), 10, 64); err == nil {
		left := &atomic.Int64{}
		left.Store(at)
		for i := range layers {
			layers[i] = deadly{layers[i], left}
		}
	}
	_, err = sink.Write(context.Background(), loc, []sink.Image{{Image: altered{img, layers}}}, sink.Options{Jobs: 2})
	return err
}

// deadly is a layer that kills the process once so many bytes were read of all
// that share the count.
type deadly struct {
	v1.Layer
	left *atomic.Int64
}

func (d deadly) Compressed() (io.ReadCloser, error)   { return d.through(d.Layer.Compressed()) }
func (d deadly) Uncompressed() (io.ReadCloser, error) { return d.through(d.Layer.Uncompressed()) }

func (d deadly) through(r io.ReadCloser, err error) (io.ReadCloser, error) {
	return deadlyReader{r, d.left}, err
}

type deadlyReader struct {
	io.ReadCloser
	left *atomic.Int64
}

func (r deadlyReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.left.Add(-int64(n)) < 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return n, err
}

// beside starts a process that writes an image.
func beside(dest string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), writeThere+"="+dest), env...)
	cmd.Stderr = &strings.Builder{}
	return cmd
}

// visible is what readers see below a directory: the content of each file,
// without scratch directories and the blobs of layouts.
func visible(dir string) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	Expect(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "blobs" || strings.HasPrefix(d.Name(), ".laminate-")):
			return filepath.SkipDir
		case d.IsDir() || d.Name() == "oci-layout":
			return nil
		}
		content, err := os.ReadFile(path)
		all[path[len(dir):]] = string(content)
		return err
	})).To(Succeed())
	return all
}

// leftovers are the scratch directories below a directory.
func leftovers(dir string) (all []string) {
	GinkgoHelper()
	Expect(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".laminate-") {
			all = append(all, path)
		}
		return err
	})).To(Succeed())
	return all
}

var _ = Describe("processes that write beside each other", func() {
	DescribeTable("make one layout, also where some of them are killed",
		func(prepare func(string) error, deadly ...string) {
			parent := GinkgoT().TempDir()
			dir := filepath.Join(parent, "layout")
			Expect(prepare(dir)).To(Succeed())
			var killed, living []*exec.Cmd
			for i := range 6 {
				living = append(living, beside(fmt.Sprintf("oci:%s:v%d", dir, i)))
			}
			for i, at := range deadly {
				killed = append(killed, beside(fmt.Sprintf("oci:%s:killed%d", dir, i), killAt+"="+at, another+"=yes"))
			}
			for _, cmd := range append(killed, living...) {
				Expect(cmd.Start()).To(Succeed())
			}
			for _, cmd := range killed {
				Expect(cmd.Wait()).To(MatchError("signal: killed"), "%s", cmd.Stderr)
			}
			for _, cmd := range living {
				Expect(cmd.Wait()).To(Succeed(), "%s", cmd.Stderr)
			}
			Expect(held(dir)).To(HaveLen(6))
			if len(deadly) > 0 { // by one that came after the last of those that were killed
				again := beside("oci:" + dir + ":v0")
				Expect(again.Run()).To(Succeed(), "%s", again.Stderr)
			}
			whole(dir)
			Expect(leftovers(parent)).To(BeEmpty())
		},
		Entry("of an empty directory", func(dir string) error { return os.Mkdir(dir, 0o755) }),
		Entry("of an empty directory", func(dir string) error { return os.Mkdir(dir, 0o755) }, "0", "0", "0"),
		Entry("of none", nothing),
		Entry("of none", nothing, "0", "0", "0"),
	)
})

var _ = Describe("a process that is killed while it writes", func() {
	DescribeTable("changes nothing that is seen, and the next one goes on and cleans up",
		func(dest string, prepare func(dir string) error, check func(dir string)) {
			at := func(dir string) string { return strings.Replace(dest, "DIR", dir, 1) }
			run := func(dir string) {
				GinkgoHelper()
				cmd := beside(at(dir))
				Expect(cmd.Run()).To(Succeed(), "%s", cmd.Stderr)
				check(dir)
			}
			undisturbed := GinkgoT().TempDir()
			Expect(prepare(undisturbed)).To(Succeed())
			run(undisturbed)
			for _, bytes := range []int{0, layerBytes * 3 / 2, layerBytes*4 - 1} {
				dir := GinkgoT().TempDir()
				Expect(prepare(dir)).To(Succeed())
				before := visible(dir)
				killed := beside(at(dir), fmt.Sprintf("%s=%d", killAt, bytes))
				Expect(killed.Run()).To(MatchError("signal: killed"), "%s", killed.Stderr)
				Expect(visible(dir)).To(Equal(before))
				Expect(leftovers(dir)).NotTo(BeEmpty(), "it was killed too early")
				run(dir)
				Expect(visible(dir)).To(Equal(visible(undisturbed)))
				Expect(leftovers(dir)).To(BeEmpty())
			}
		},
		Entry("a .cnb file", "DIR/out.cnb", nothing, hasFile("out.cnb")),
		Entry("a .cnb file that is there", "DIR/out.cnb", func(dir string) error {
			return writeBeside(filepath.Join(dir, "out.cnb"), 2)
		}, hasFile("out.cnb")),
		Entry("an OCI archive", "oci-archive:DIR/out.tar", nothing, hasFile("out.tar")),
		Entry("a Docker archive", "docker-archive:DIR/out.tar", nothing, hasFile("out.tar")),
		Entry("a new layout", "oci:DIR/layout:v1", nothing, hasLayout),
		Entry("a layout in an empty directory", "oci:DIR/layout:v1", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "layout"), 0o755)
		}, hasLayout),
		Entry("a layout that is there", "oci:DIR/layout:v1", func(dir string) error {
			return errors.Join(
				writeBeside("oci:"+filepath.Join(dir, "layout")+":v0", 2),
				writeBeside("oci:"+filepath.Join(dir, "layout")+":v1", 3))
		}, func(dir string) {
			GinkgoHelper()
			hasLayout(dir)
			Expect(held(filepath.Join(dir, "layout"))).To(HaveLen(2))
		}),
	)
})

var _ = DescribeTable("a process that reads meanwhile sees the old output or the new one, whole",
	func(dest, file string) {
		dir := GinkgoT().TempDir()
		dest = strings.Replace(dest, "DIR", dir, 1)
		Expect(writeBeside(dest, 2)).To(Succeed())
		old := contentOf(dir, file)
		f, err := os.Open(filepath.Join(dir, file))
		Expect(err).NotTo(HaveOccurred())
		defer f.Close()
		Expect(writeBeside(dest, 1)).To(Succeed())
		Expect(contentOf(dir, file)).NotTo(Equal(old))
		read, err := io.ReadAll(f)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(read) == old).To(BeTrue(), "the file was written to in its place")
	},
	Entry("a .cnb file", "DIR/out.cnb", "out.cnb"),
	Entry("an OCI archive", "oci-archive:DIR/out.tar", "out.tar"),
	Entry("a Docker archive", "docker-archive:DIR/out.tar", "out.tar"),
	Entry("a layout", "oci:DIR/layout:v1", "layout/index.json"),
)

func nothing(string) error { return nil }

func hasFile(name string) func(dir string) {
	return func(dir string) {
		GinkgoHelper()
		Expect(names(dir)).To(Equal([]string{name}))
	}
}

func hasLayout(dir string) {
	GinkgoHelper()
	Expect(names(dir)).To(Equal([]string{"layout"}))
	whole(filepath.Join(dir, "layout"))
}
