package smoke_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/builder/smoke"
	"laminate/builder/smoke/sandbox"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
)

// A lab has a builder of the sample buildpacks whose lifecycle is the stand-in, and its run image.
type lab struct {
	*workbench.Bench
	builder, run *image.Image
	*smoke.Session
	root string
}

// shared is a directory with what all labs have, which the first makes: their files, and the builder.
var shared string

var _ = AfterSuite(func() { Expect(os.RemoveAll(shared)).To(Succeed()) })

// newLab makes one, or skips the spec where there is no static busybox or no sandbox.
func newLab() *lab {
	GinkgoHelper()
	busybox := fixtures.StaticBusybox()
	if busybox == "" {
		Skip("there is no static busybox (the Debian package busybox-static has one)")
	}
	l := &lab{Bench: workbench.New()}
	if err := sandbox.Check(l.Dir); err != nil {
		Skip(err.Error())
	}
	if shared == "" {
		shared = makeShared(busybox)
	}
	Expect(os.CopyFS(l.Dir, os.DirFS(shared))).To(Succeed())
	l.builder, l.run = l.open("builder"), l.open("base")
	var err error
	l.Session, err = smoke.Open(context.Background(), smoke.Options{Builder: l.builder, RunImage: l.run, WorkDir: GinkgoT().TempDir()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Session.Close)
	l.root = l.Session.Root()
	return l
}

// makeShared makes what all labs have.
func makeShared(busybox string) string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "smoke-lab-")
	Expect(err).NotTo(HaveOccurred())
	l := &workbench.Bench{Dir: dir}
	Expect(fixtures.SmokeFiles(l.Dir, busybox)).To(Succeed())
	c, problems, err := config.ReadBuilder(l.At("builder.toml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(problems.Err()).NotTo(HaveOccurred())
	o := builder.Options{Config: c, Version: "1", SkipRunImages: true, Options: engine.Options{WorkDir: GinkgoT().TempDir()}}
	jobs, err := builder.Prepare(context.Background(), &source.Opener{WorkDir: o.WorkDir}, o)
	Expect(err).NotTo(HaveOccurred())
	img, err := jobs[0].Build(context.Background())
	Expect(err).NotTo(HaveOccurred())
	l.Keep(img.Image, "oci:builder")
	return dir
}

func (l *lab) open(layout string) *image.Image {
	GinkgoHelper()
	opener := &source.Opener{}
	img, err := opener.Image(context.Background(), location.Location{Kind: location.OCILayout, Path: l.At(layout)}, flatten.Target{})
	Expect(err).NotTo(HaveOccurred())
	return img
}

// test tests a sample app.
func (l *lab) test(ctx context.Context, app string, env ...config.EnvVar) (smoke.Result, *smoke.Built) {
	GinkgoHelper()
	return l.testWith(ctx, app, smoke.App{Env: env})
}

// testWith tests a sample app with options.
func (l *lab) testWith(ctx context.Context, app string, a smoke.App) (smoke.Result, *smoke.Built) {
	GinkgoHelper()
	dir := l.At("app-" + app)
	Expect(os.RemoveAll(dir)).To(Succeed())
	Expect(fixtures.CopyDir(dir, "smoke/apps/"+app)).To(Succeed())
	a.Dir, a.CacheDir = dir, l.At("cache-"+app)
	result, built := l.Test(ctx, a)
	DeferCleanup(built.Close)
	return result, built
}

// logOfPhase returns the log of a phase.
func logOfPhase(r smoke.Result, name string) string {
	for _, p := range r.Phases {
		if p.Name == name {
			return p.Log
		}
	}
	return ""
}

var _ = Describe("a build with the stand-in for the lifecycle, in the sandbox", Ordered, func() {
	var l *lab
	BeforeAll(func() { l = newLab() })

	DescribeTable("of a sample app", func(ctx SpecContext, app string, status smoke.Status, message string) {
		result, _ := l.test(ctx, app)
		Expect(result.Status).To(Equal(status), "%+v", result)
		if message == "" {
			Expect(result.Failures).To(BeEmpty())
			return
		}
		Expect(result.Failures).To(ContainElement(HaveField("Message", ContainSubstring(message))))
	},
		Entry("that has a process", "hello", smoke.Passed, ""),
		Entry("that serves", "good", smoke.Passed, ""),
		Entry("without a smoke.toml", "noisy", smoke.Passed, ""),
		Entry("that no group wants, as expected", "refused", smoke.Passed, ""),
		Entry("whose detection fails, as expected", "broken", smoke.Passed, ""),
		Entry("whose build fails, as expected", "fails", smoke.Passed, ""),
		Entry("with other expectations", "wrong", smoke.Failed, "expected"),
	)

	DescribeTable("warns of a project.toml that pack would follow", func(ctx SpecContext, text string, want ...any) {
		app := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(app, "project.toml"), []byte(text), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(app, "Procfile"), []byte("web: true\n"), 0o600)).To(Succeed())
		result, built := l.Test(ctx, smoke.App{Dir: app})
		Expect(built.Close()).To(Succeed())
		var about []string
		for _, w := range result.Warnings {
			if strings.Contains(w, "project.toml") {
				about = append(about, w)
			}
		}
		Expect(about).To(HaveExactElements(want...))
	},
		Entry("with the keys", "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nexclude = [\"*.md\"]\n[[io.buildpacks.build.env]]\nname = \"A\"\n",
			"project.toml is ignored; pack build takes io.buildpacks.exclude, io.buildpacks.build.env from it"),
		Entry("if it is invalid", "[_\n", ContainSubstring("project.toml:1: ")),
		Entry("but not of a name", "[_]\nschema-version = \"0.2\"\nname = \"x\"\n"),
	)

	It("names a process that outlives the build", func(ctx SpecContext) {
		result, built := l.test(ctx, "stays")
		Expect(result.Status).To(Equal(smoke.Failed))
		Expect(result.Failures).To(ContainElement(HaveField("Message", ContainSubstring("outlived the build"))))
		Expect(built.Left).NotTo(BeEmpty())
	})

	It("ends with its context", func(ctx SpecContext) {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		begun := time.Now()
		result, built := l.test(short, "endless")
		Expect(result.Status).To(Equal(smoke.Broken))
		Expect(built).To(BeNil())
		Expect(time.Since(begun)).To(BeNumerically("<", 20*time.Second))
	})

	It("is given the environment, and uses its cache again", func(ctx SpecContext) {
		first, _ := l.test(ctx, "cached")
		again, _ := l.test(ctx, "cached")
		Expect(first.Failures).To(BeEmpty())
		Expect(logOfPhase(again, "build")).NotTo(Equal(logOfPhase(first, "build")))
		noisy, _ := l.test(ctx, "noisy", config.EnvVar{Name: "BP_NOISY_KIB", Value: "2048"})
		Expect(noisy.Status).To(Equal(smoke.Passed), "%+v", noisy)
		Expect(logOfPhase(noisy, "build")).To(ContainSubstring("bytes left out"))
	})

	It("leaves the root file system and the app as they are", func(ctx SpecContext) {
		before, err := fixtures.TreeHash(filepath.Join(l.root, "cnb"))
		Expect(err).NotTo(HaveOccurred())
		l.test(ctx, "hello")
		Expect(fixtures.TreeHash(filepath.Join(l.root, "cnb"))).To(Equal(before))
		have, err := os.ReadFile(l.At("app-hello/name.txt"))
		Expect(err).NotTo(HaveOccurred())
		want, err := os.ReadFile(filepath.Join(fixtures.Root(), "smoke/apps/hello/name.txt"))
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(have, want)).To(BeTrue())
	})

	It("is the same image twice, over the run image, with OCI media types", func(ctx SpecContext) {
		_, one := l.test(ctx, "hello")
		_, two := l.test(ctx, "hello")
		Expect(workbench.DigestOf(one.App)).To(Equal(workbench.DigestOf(two.App)))
		Expect(workbench.ReadThrough(one.App)).To(Succeed())
		m, err := one.App.Manifest()
		Expect(err).NotTo(HaveOccurred())
		for _, layer := range m.Layers {
			Expect(string(layer.MediaType)).To(HavePrefix("application/vnd.oci."))
		}
		Expect(one.App.Contents()[0].Diff).To(Equal(l.run.Contents()[0].Diff))
	})
})
