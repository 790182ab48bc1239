package step_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/cli/frontend/step"
)

func TestMain(m *testing.M) {
	if os.Getenv("LIFECYCLE") != "" { // the program is the lifecycle
		os.Exit(lifecycle(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestStep(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "step")
}

// lifecycle stands in for the creator: it notes its arguments, and exports the image in the directory export.
func lifecycle(args []string) int {
	root := os.Getenv("LIFECYCLE")
	os.Stdout.WriteString("===> BUILDING\n")
	if code := os.Getenv("EXIT"); code != "" {
		return int(code[0])
	}
	raw, _ := json.Marshal(args)
	if err := os.WriteFile(filepath.Join(root, "args"), raw, 0o644); err != nil {
		return 99
	}
	if err := os.CopyFS(filepath.Join(root, step.LayoutDir, step.Dir(step.App)), os.DirFS(filepath.Join(root, "export"))); err != nil {
		return 98
	}
	return 0
}

// A room is the file system of a step.
type room struct {
	root           string
	stdout, stderr bytes.Buffer
}

// newRoom returns a room whose lifecycle exports an image. Its cache is that of another one, if that is not nil.
func newRoom(img v1.Image, before *room) *room {
	GinkgoHelper()
	r := &room{root: GinkgoT().TempDir()}
	for _, dir := range []string{step.AppDir, step.LayersDir, step.Output, step.CacheDir} {
		Expect(os.MkdirAll(r.at(dir), 0o755)).To(Succeed())
	}
	if before != nil {
		Expect(os.RemoveAll(r.at(step.CacheDir))).To(Succeed())
		Expect(os.Rename(before.at(step.CacheDir), r.at(step.CacheDir))).To(Succeed())
	}
	p, err := layout.Write(r.at("export"), empty.Index)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.AppendImage(img)).To(Succeed())
	return r
}

func (r *room) at(name string) string { return filepath.Join(r.root, name) }

// run runs the step, and returns the exit code and the lifecycle's arguments.
func (r *room) run(ctx SpecContext, exit string, warnings ...string) (int, []string) {
	GinkgoHelper()
	GinkgoT().Setenv("LIFECYCLE", r.root)
	GinkgoT().Setenv("EXIT", exit)
	s := step.Step{Root: r.root, Command: []string{os.Args[0], "-app", "/workspace"}, Stdout: &r.stdout, Stderr: &r.stderr, Warnings: warnings}
	code, err := s.Do(ctx)
	Expect(err).NotTo(HaveOccurred())
	var args []string
	if raw, err := os.ReadFile(r.at("args")); err == nil {
		Expect(json.Unmarshal(raw, &args)).To(Succeed())
	}
	return code, args
}

// valid checks the image in a directory, and returns its digest.
func valid(dir string) v1.Hash {
	GinkgoHelper()
	index, err := layout.ImageIndexFromPath(dir)
	Expect(err).NotTo(HaveOccurred())
	m, err := index.IndexManifest()
	Expect(err).NotTo(HaveOccurred())
	Expect(m.Manifests).To(HaveLen(1))
	img, err := index.Image(m.Manifests[0].Digest)
	Expect(err).NotTo(HaveOccurred())
	Expect(validate.Image(img)).To(Succeed())
	return m.Manifests[0].Digest
}

// pipe puts a named pipe, which nothing writes to, in the place of a file.
func pipe(name string) error { return errors.Join(os.Remove(name), syscall.Mkfifo(name, 0o600)) }

func files(dir string) (names []string) {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// image returns a random image, and the file of the blob of its first layer in a layout.
func image() (img v1.Image, digest v1.Hash, blob string) {
	GinkgoHelper()
	img, err := random.Image(1000, 3)
	Expect(err).NotTo(HaveOccurred())
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	first, err := layers[0].Digest()
	Expect(err).NotTo(HaveOccurred())
	digest, err = img.Digest()
	Expect(err).NotTo(HaveOccurred())
	return img, digest, "blobs/sha256/" + first.Hex
}

var previous = []string{"-app", "/workspace", "-previous-image", step.Previous, step.App}

var _ = Describe("the build step", func() {
	It("keeps the app image, and hands it to the next build", func(ctx SpecContext) {
		img, digest, blob := image()
		first := newRoom(img, nil)
		code, args := first.run(ctx, "")
		Expect(code).To(BeZero())
		Expect(args).To(Equal([]string{"-app", "/workspace", step.App}))
		Expect(first.stdout.String()).To(Equal("===> BUILDING\n"))
		Expect(first.stderr.String()).To(BeEmpty())
		Expect(valid(first.at(step.CacheDir + "/app"))).To(Equal(digest))

		By("the next build names a layer that it does not have, which is taken from there")
		second := newRoom(img, first)
		Expect(os.Remove(second.at("export/" + blob))).To(Succeed())
		_, args = second.run(ctx, "")
		Expect(args).To(Equal(previous))
		Expect(valid(second.at(step.LayoutDir + "/" + step.Dir(step.Previous)))).To(Equal(digest))
		Expect(valid(second.at(step.LayoutDir + "/" + step.Dir(step.App)))).To(Equal(digest))

		By("and one of another image keeps no more than that")
		other, digest, _ := image()
		third := newRoom(other, second)
		third.run(ctx, "")
		Expect(valid(third.at(step.CacheDir + "/app"))).To(Equal(digest))
		Expect(files(third.at(step.CacheDir+"/app/blobs/sha256"))).To(HaveLen(5), "a manifest, a config and three layers")
		Expect(files(third.at(step.CacheDir))).To(Equal([]string{"app", "build"}))
	})

	It("goes on without a damaged app image of the build before", func(ctx SpecContext) {
		img, digest, blob := image()
		for _, damage := range []func(dir string) error{
			func(dir string) error { return os.WriteFile(filepath.Join(dir, blob), []byte("x"), 0o644) },
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "index.json"), nil, 0o644) },
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "blobs/sha256", digest.Hex), []byte("{}"), 0o644)
			},
			func(dir string) error { return os.Truncate(filepath.Join(dir, "index.json"), 17<<20) },
			func(dir string) error { return pipe(filepath.Join(dir, "index.json")) },
			func(dir string) error { return pipe(filepath.Join(dir, blob)) },
		} {
			first := newRoom(img, nil)
			first.run(ctx, "")
			Expect(damage(first.at(step.CacheDir + "/app"))).To(Succeed())
			second := newRoom(img, first)
			_, args := second.run(ctx, "")
			Expect(args).NotTo(ContainElement("-previous-image"))
			Expect(second.stderr.String()).To(HavePrefix("warning: the app image of the build before is not reused: "))
			Expect(valid(second.at(step.CacheDir + "/app"))).To(Equal(digest))
		}
	})

	It("keeps the app image of the build before if the lifecycle fails, and says nothing more", func(ctx SpecContext) {
		img, digest, _ := image()
		first := newRoom(img, nil)
		first.run(ctx, "")
		other, _, _ := image()
		second := newRoom(other, first)
		code, _ := second.run(ctx, "3", "mind the gap")
		Expect(code).To(Equal(int('3')))
		Expect(second.stderr.String()).To(Equal("warning: mind the gap\n"))
		Expect(valid(second.at(step.CacheDir + "/app"))).To(Equal(digest))
	})

	It("prefers a previous image that was asked for, and restores its SBOMs", func(ctx SpecContext) {
		img, _, _ := image()
		for _, c := range []struct {
			name, want string
			before     bool
		}{{step.Previous, step.Previous, true}, {step.Imported, step.Imported, false}, {step.Imported, step.Previous, true}} {
			var before *room
			if c.before {
				before = newRoom(img, nil)
				before.run(ctx, "")
			}
			r := newRoom(img, before)
			dir := r.at(step.LayoutDir + "/" + step.Dir(c.name))
			Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
			sbom := r.at(step.PreviousDir + "/layers/sbom/launch/acme_java/sbom.cdx.json")
			Expect(os.MkdirAll(filepath.Dir(sbom), 0o755)).To(Succeed())
			Expect(os.WriteFile(sbom, []byte("{}"), 0o600)).To(Succeed())
			Expect(os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(sbom), "link"))).To(Succeed())
			_, args := r.run(ctx, "")
			Expect(args).To(ContainElements("-previous-image", c.want))
			if c.want == c.name {
				Expect(files(r.at("/layers/sbom/launch/acme_java"))).To(Equal([]string{"sbom.cdx.json"}))
			} else {
				Expect(r.at("/layers/sbom")).NotTo(BeADirectory())
			}
		}
	})

	It("gives the app the mode that platforms give it", func(ctx SpecContext) {
		img, _, _ := image()
		r := newRoom(img, nil)
		r.run(ctx, "")
		info, err := os.Stat(r.at(step.AppDir))
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o777)))
	})

	It("fails if the lifecycle cannot run, or exports nothing", func(ctx SpecContext) {
		img, _, _ := image()
		r := newRoom(img, nil)
		_, err := (&step.Step{Root: r.root, Command: []string{r.at("none")}, Stdout: &r.stdout, Stderr: &r.stderr}).Do(ctx)
		Expect(err).To(MatchError(HavePrefix("lifecycle: ")))
		_, err = (&step.Step{Root: r.root, Command: []string{"true"}, Stdout: &r.stdout, Stderr: &r.stderr}).Do(ctx)
		Expect(err).To(MatchError(HavePrefix("the lifecycle exported no usable image: ")))
	})

	DescribeTable("says why a build failed", func(code int, want string) {
		Expect(step.Failure(code)).To(Equal(want))
		Expect(strings.Count(step.Failure(code), "\n")).To(BeZero())
	},
		Entry(nil, 20, "no buildpacks fit this app: no group of the order passed detection (exit code 20); see the lifecycle's lines above"),
		Entry(nil, 51, "a buildpack failed to build this app (exit code 51); see its lines above"),
		Entry(nil, 62, "export failed (exit code 62); see the lifecycle's lines above"),
		Entry(nil, 1, "the lifecycle ended with exit code 1; see its lines above"),
	)
})
