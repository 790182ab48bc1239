package sink_test

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/location"
	"laminate/packager/sink"
)

// writeThere names, in the environment of a process beside the tests, where that
// process writes an image to.
const writeThere = "SINK_TEST_DESTINATION"

func TestMain(m *testing.M) {
	if dest := os.Getenv(writeThere); dest != "" {
		if err := writeBeside(dest); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func writeBeside(dest string) error {
	loc, err := location.ParseDest(dest, location.DestOptions{})
	if err != nil {
		return err
	}
	img, err := random.Image(200_000, 4, random.WithSource(rand.NewSource(1)))
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
	_, err = sink.Write(context.Background(), loc, []sink.Image{{Image: img}}, sink.Options{Jobs: 2})
	return err
}

// beside starts a process that writes an image.
func beside(dest string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writeThere+"="+dest)
	cmd.Stderr = &strings.Builder{}
	return cmd
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
	It("make one layout of an empty directory", func() {
		for _, prepare := range []func(string) error{
			func(dir string) error { return os.Mkdir(dir, 0o755) },
			func(string) error { return nil },
		} {
			parent := GinkgoT().TempDir()
			dir := filepath.Join(parent, "layout")
			Expect(prepare(dir)).To(Succeed())
			var all []*exec.Cmd
			for i := range 6 {
				cmd := beside(fmt.Sprintf("oci:%s:v%d", dir, i))
				Expect(cmd.Start()).To(Succeed())
				all = append(all, cmd)
			}
			for _, cmd := range all {
				Expect(cmd.Wait()).To(Succeed(), "%s", cmd.Stderr)
			}
			Expect(held(dir)).To(HaveLen(6))
			whole(dir)
			Expect(leftovers(parent)).To(BeEmpty())
		}
	})
})

var _ = Describe("a process that is killed while it writes", func() {
	DescribeTable("leaves what the next one goes on with, and cleans up",
		func(dest string, prepare func(dir string) error, check func(dir string)) {
			at := func(dir string) string { return strings.Replace(dest, "DIR", dir, 1) }
			const rounds = 5
			long := GinkgoT().TempDir()
			Expect(prepare(long)).To(Succeed())
			begun := time.Now()
			undisturbed := beside(at(long))
			Expect(undisturbed.Run()).To(Succeed(), "%s", undisturbed.Stderr)
			took := time.Since(begun)

			instants := rand.New(rand.NewSource(GinkgoRandomSeed()))
			killed, left := 0, 0
			for range rounds {
				dir := GinkgoT().TempDir()
				Expect(prepare(dir)).To(Succeed())
				cmd := beside(at(dir))
				Expect(cmd.Start()).To(Succeed())
				time.Sleep(took/3 + time.Duration(instants.Int63n(int64(took*2/3))))
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
					killed++
				}
				left += len(leftovers(dir))
				again := beside(at(dir))
				Expect(again.Run()).To(Succeed(), "%s", again.Stderr)
				Expect(leftovers(dir)).To(BeEmpty())
				check(dir)
			}
			AddReportEntry("killed", fmt.Sprintf("%d of %d, which left %d scratch directories", killed, rounds, left))
		},
		Entry("a .cnb file", "DIR/out.cnb", nothing, hasFile("out.cnb")),
		Entry("an OCI archive", "oci-archive:DIR/out.tar", nothing, hasFile("out.tar")),
		Entry("a Docker archive", "docker-archive:DIR/out.tar", nothing, hasFile("out.tar")),
		Entry("a new layout", "oci:DIR/layout:v1", nothing, hasLayout),
		Entry("a layout in an empty directory", "oci:DIR/layout:v1", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "layout"), 0o755)
		}, hasLayout),
		Entry("a layout that is there", "oci:DIR/layout:v1", func(dir string) error {
			return writeBeside("oci:" + filepath.Join(dir, "layout") + ":v0")
		}, func(dir string) {
			GinkgoHelper()
			whole(filepath.Join(dir, "layout"))
			Expect(held(filepath.Join(dir, "layout"))).To(HaveLen(2))
		}),
	)
})

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
